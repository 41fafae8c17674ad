import { createHash } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { toHex, toUtf8 } from '../src/bytes.ts'
import { merklePath, merkleRoot, merkleTree, merkleVerify, PATH_STEPS_MAX } from '../src/merkle.ts'
import { sha256 } from './support/data.ts'

const leavesOf = (count: number) => Array.from({ length: count }, (_, i) => toUtf8(`leaf ${i}`))

/** RFC 6962 section 2.1, word for word. */
function naive(leaves: readonly Uint8Array[]): Buffer {
  const hash = (...parts: (Uint8Array | number)[]) => {
    const all = createHash('sha256')
    for (const part of parts) all.update(typeof part === 'number' ? Uint8Array.of(part) : part)
    return all.digest()
  }
  if (leaves.length === 1) return hash(0, leaves[0] as Uint8Array)
  let k = 1
  while (2 * k < leaves.length) k *= 2
  return hash(1, naive(leaves.slice(0, k)), naive(leaves.slice(k)))
}

const merkle = suite('merkle')

merkle('roots are those of RFC 6962', () => {
  for (let count = 1; count <= 70; count++) {
    const leaves = leavesOf(count)
    assert.is(toHex(merkleRoot(merkleTree(leaves, sha256))), naive(leaves).toString('hex'), `${count} leaves`)
  }
  assert.throws(
    () => merkleTree([], sha256),
    (error: unknown) => error instanceof RangeError
  )
})

merkle('every leaf is proved at its place and at no other, by its own path alone', () => {
  for (let count = 1; count <= 34; count++) {
    const leaves = leavesOf(count)
    const tree = merkleTree(leaves, sha256)
    const root = merkleRoot(tree)
    for (let index = 0; index < count; index++) {
      const path = merklePath(tree, index)
      const good = { leaf: leaves[index] as Uint8Array, index, count, path, root }
      assert.ok(merkleVerify(good, sha256), `${index} of ${count}`)
      assert.not.ok(merkleVerify({ ...good, leaf: toUtf8('other') }, sha256))
      assert.not.ok(merkleVerify({ ...good, path: [...path, root] }, sha256))
      assert.not.ok(merkleVerify({ ...good, index: count }, sha256))
      for (let other = 0; other < count; other++) {
        if (other !== index)
          assert.not.ok(merkleVerify({ ...good, index: other }, sha256), `${other} for ${index}`)
      }
      if (path.length > 0) assert.not.ok(merkleVerify({ ...good, path: path.slice(1) }, sha256))
    }
  }
})

merkle('what is known of a tree saves hashes and changes no answer', () => {
  for (let count = 1; count <= 34; count++) {
    const leaves = leavesOf(count)
    const tree = merkleTree(leaves, sha256)
    const root = merkleRoot(tree)
    const known = new Map<number, Uint8Array>()
    let hashes = 0
    const counted = (bytes: Uint8Array) => {
      hashes++
      return sha256(bytes)
    }
    for (const round of [0, 1]) {
      for (let index = 0; index < count; index++) {
        const path = merklePath(tree, index)
        const good = { leaf: leaves[index] as Uint8Array, index, count, path, root }
        for (let i = 0; i < path.length; i++) {
          const bent = path.map((one, at) => (at === i ? one.map((byte) => byte ^ 1) : one))
          assert.not.ok(merkleVerify({ ...good, path: bent }, sha256, known), `step ${i} of ${index}`)
        }
        assert.not.ok(merkleVerify({ ...good, leaf: toUtf8('other') }, sha256, known))
        assert.not.ok(merkleVerify({ ...good, path: [...path, root] }, sha256, known))
        if (path.length > 0) assert.not.ok(merkleVerify({ ...good, path: path.slice(1) }, sha256, known))
        for (let other = 0; other < count; other++) {
          if (other !== index) assert.not.ok(merkleVerify({ ...good, index: other }, sha256, known))
        }
        hashes = 0
        assert.ok(merkleVerify(good, counted, known), `${index} of ${count}`)
        if (round === 1) assert.is(hashes, 1, 'its own')
      }
    }
  }
})

merkle('a node can not be passed off as a leaf', () => {
  const leaves = leavesOf(4)
  const tree = merkleTree(leaves, sha256)
  const [left, right] = tree[1] as [Uint8Array, Uint8Array]
  const forged = {
    leaf: Uint8Array.of(...left, ...right),
    index: 0,
    count: 1,
    path: [],
    root: merkleRoot(tree)
  }
  assert.not.ok(merkleVerify(forged, sha256))
})

merkle('a tree is not taken for a larger one', () => {
  const leaves = leavesOf(2)
  const tree = merkleTree(leaves, sha256)
  const proof = { leaf: leaves[0] as Uint8Array, index: 0, path: merklePath(tree, 0), root: merkleRoot(tree) }
  assert.ok(merkleVerify({ ...proof, count: 2 }, sha256))
  for (const count of [3, 4, 2 ** 20 + 1, 2 ** 32 + 1, 2 ** 33]) {
    assert.not.ok(merkleVerify({ ...proof, count }, sha256), `${count}`)
  }
})

merkle("no number of a peer's makes it throw or go on for ever", () => {
  const root = sha256(Uint8Array.of(1))
  const leaf = Uint8Array.of(1)
  for (const count of [0, 1, 2 ** 20, 2 ** 31, 2 ** 32, 2 ** 53 - 1]) {
    for (const index of [0, 1, count - 1, 2 ** 31]) {
      for (const steps of [0, 1, PATH_STEPS_MAX, 64]) {
        const path = Array.from({ length: steps }, () => root)
        assert.is(merkleVerify({ leaf, index, count, path, root }, sha256), false)
      }
    }
  }
  assert.not.ok(merkleVerify({ leaf, index: 0, count: 2, path: [Uint8Array.of(1)], root }, sha256))
})

merkle.run()
