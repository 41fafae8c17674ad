/** Files and directories to blocks and back, CIDs, checksums, CAR. Runs in browsers too: no Node here. */

export { DEFAULT_DIGESTS } from '#digests'
export { noteGarbage, setYoung } from '#young'
export { CAR_ROOTS_MAX, type Car, carOf, readCar } from './car.ts'
export * from './cid.ts'
export type { Link } from './dag-pb.ts'
export { READ_AHEAD_BLOCKS } from './depth-first.ts'
export * from './digests.ts'
export * from './digests-record.ts'
export * from './directory.ts'
export {
  type ByteSource,
  CHUNK_BYTES,
  fileBlocks,
  LINKS_PER_NODE,
  type Root,
  type WriteOptions
} from './file.ts'
export { NESTING_MAX } from './names.ts'
export {
  type Entry,
  FILE_DEPTH_MAX,
  type ReadOptions,
  readDirectory,
  readFile,
  resolvePath,
  type Stat,
  stat
} from './read.ts'
export * from './sums.ts'
export { readNode } from './unixfs.ts'
export { dagBlocks, TREE_ENTRIES_MAX, type WalkEntry, type WalkOptions, walk } from './walk.ts'
