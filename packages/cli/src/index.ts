/** What scripts use of the command: the cluster on this machine, and the client of its nodes. */
export {
  addNode,
  type ClusterNode,
  type ClusterOptions,
  killNode,
  runningNodes,
  startCluster,
  stopCluster,
  targetsOf
} from './cluster.ts'
export * as format from './format.ts'
export { until } from './processes.ts'
export { clientOf } from './session.ts'
