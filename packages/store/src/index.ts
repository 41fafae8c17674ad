export * from './claims.ts'
export * from './disk.ts'
export * from './memory.ts'
export * from './store.ts'
