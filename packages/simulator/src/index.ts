export * from './members.ts'
export * from './network.ts'
export * from './run.ts'
