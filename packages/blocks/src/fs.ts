/** Files and directories on disk to trees and back. The part of the package that needs Node. */
export { systemCode } from './disk-error.ts'
export { type LeftOut, type WalkPathOptions, walkPath } from './walk-path.ts'
export {
  sameContent,
  type WriteProgress,
  type WriteTreeOptions,
  type Written,
  writeTree
} from './write-tree.ts'
