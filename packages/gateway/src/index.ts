export { API_VERSION } from './api.ts'
export { ROUTES, type Route } from './routes.ts'
export { type ServeOptions, type Serving, serveNode } from './serve.ts'
