/**
 * One signature for many things: a Merkle tree as in RFC 6962 section 2.1, where leaves and nodes are
 * hashed under different prefixes, so that neither can be passed off as the other. One claim over ten
 * thousand blocks, or one group commit's receipt, costs one Ed25519 operation and a short path each.
 */
import { concat, equalBytes } from './bytes.ts'
import { SHA256_BYTES } from './crypto.ts'

type Sha256 = (bytes: Uint8Array) => Uint8Array

/** A path is at most this long: 2^20 leaves, far over what one batch may hold. */
export const PATH_STEPS_MAX = 20

const LEAF = Uint8Array.of(0)
const NODE = Uint8Array.of(1)

/** All levels of a tree, leaves' hashes first, the root's level last. At least one leaf. */
export type MerkleTree = readonly (readonly Uint8Array[])[]

export function merkleTree(leaves: readonly Uint8Array[], sha256: Sha256): MerkleTree {
  if (leaves.length === 0) throw new RangeError('a Merkle tree needs a leaf')
  let level = leaves.map((leaf) => sha256(concat([LEAF, leaf])))
  const levels = [level]
  while (level.length > 1) {
    const above: Uint8Array[] = []
    for (let i = 0; i < level.length; i += 2) {
      const left = level[i] as Uint8Array
      const right = level[i + 1]
      // An odd one out moves up as it is, which builds the same tree as RFC 6962's split at a power of two.
      above.push(right === undefined ? left : sha256(concat([NODE, left, right])))
    }
    level = above
    levels.push(level)
  }
  return levels
}

export function merkleRoot(tree: MerkleTree): Uint8Array {
  return tree[tree.length - 1]?.[0] as Uint8Array
}

/** The hashes that lead from leaf `index` to the root, lowest first. */
export function merklePath(tree: MerkleTree, index: number): Uint8Array[] {
  const path: Uint8Array[] = []
  let at = index
  for (const level of tree.slice(0, -1)) {
    const sibling = level[at ^ 1]
    if (sibling !== undefined) path.push(sibling)
    at >>= 1
  }
  return path
}

/** Nodes of one tree that were seen to lead to its root, by `nodeAt`. Whoever keeps them bounds them. */
export type KnownNodes = Map<number, Uint8Array>

const LEVEL_NODES = 2 ** PATH_STEPS_MAX

function nodeAt(level: number, index: number): number {
  return level * LEVEL_NODES + index
}

interface Proof {
  leaf: Uint8Array
  index: number
  count: number
  path: readonly Uint8Array[]
  root: Uint8Array
}

/**
 * Whether `leaf` is number `index` of `count` leaves under `root`. Never throws on a peer's numbers.
 *
 * With `known`, from the first node on that is known the rest of the path is compared instead of hashed: it
 * must still be right to the last byte, since it goes on to others. So a tree of n leaves costs 2n hashes
 * instead of n log n.
 */
export function merkleVerify(proof: Proof, sha256: Sha256, known?: KnownNodes): boolean {
  const { leaf, index, count, path, root } = proof
  // Larger counts would also leave the 32 bits that the shifts below work on.
  if (index >= count || count > LEVEL_NODES || path.length > PATH_STEPS_MAX) return false
  const seen: [number, Uint8Array][] = []
  let hash = sha256(concat([LEAF, leaf]))
  let isKnown = false
  let at = index
  let last = count - 1
  let step = 0
  for (let level = 0; last > 0; level++, at >>= 1, last >>= 1) {
    const own = known?.get(nodeAt(level, at))
    isKnown ||= own !== undefined && equalBytes(own, hash)
    if (at % 2 === 0 && at === last) continue // an odd one out
    const other = path[step++]
    if (other === undefined || other.length !== SHA256_BYTES) return false
    if (isKnown) {
      const beside = known?.get(nodeAt(level, at ^ 1))
      if (beside === undefined || !equalBytes(beside, other)) return merkleVerify(proof, sha256)
      continue
    }
    seen.push([nodeAt(level, at), hash], [nodeAt(level, at ^ 1), other])
    hash = sha256(at % 2 === 1 ? concat([NODE, other, hash]) : concat([NODE, hash, other]))
  }
  if (step !== path.length || !(isKnown || equalBytes(hash, root))) return false
  for (const [node, value] of seen) known?.set(node, value)
  return true
}
