/** Files and directories to blocks and back, CIDs, checksums, CAR. Runs in browsers too: no Node here. */
export * from './cid.ts'
export type { Link } from './dag-pb.ts'
export * from './directory.ts'
export {
  type ByteSource,
  CHUNK_BYTES,
  fileBlocks,
  LINKS_PER_NODE,
  type Root,
  type WriteOptions
} from './file.ts'
