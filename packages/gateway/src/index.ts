export { API_VERSION } from './api.ts'
export { ANSWERING_BYTES, BULK_MAX } from './bulk.ts'
export { ROUTES, type Route } from './routes.ts'
export { type ServeOptions, type Serving, serveNode } from './serve.ts'
