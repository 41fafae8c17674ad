import { createLink, createNode, decode, encode } from '@ipld/dag-pb'
import { CID } from 'multiformats/cid'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { cidOf } from '../src/cid.ts'
import { decodeNode, encodeNode } from '../src/dag-pb.ts'

const dagPb = suite('dag-pb')

const LINKS = ['', 'a', 'b', 'z'.repeat(200), 'ä'].map((name, i) => {
  return { name, cid: cidOf(Uint8Array.of(i)), size: [0, 127, 128, 2 ** 31, 2 ** 45][i] as number }
})

dagPb('a node is written as @ipld/dag-pb writes it, byte for byte', () => {
  for (const data of [new Uint8Array(), Uint8Array.of(8, 1), new Uint8Array(300).fill(7)]) {
    const ours = encodeNode(
      LINKS.map(({ name, cid, size }) => ({ name, size, cid: cid.bytes })),
      data
    )
    const links = LINKS.map(({ name, cid, size }) => createLink(name, size, cid))
    assert.equal(Uint8Array.from(ours), Uint8Array.from(encode(createNode(data, links))))
  }
})

dagPb('what @ipld/dag-pb writes is read back', () => {
  const bytes = encode(
    createNode(
      Uint8Array.of(1, 2, 3),
      LINKS.map(({ name, cid, size }) => createLink(name, size, cid))
    )
  )
  const node = decodeNode(bytes)
  assert.equal(Uint8Array.from(node.data), Uint8Array.of(1, 2, 3))
  assert.equal(
    node.links.map(({ name, cid, size }) => [name, CID.decode(cid).toString(), size]),
    LINKS.map(({ name, cid, size }) => [name, cid.toString(), size])
  )
  assert.is(decode(bytes).Links.length, node.links.length)
})

dagPb('a node cut anywhere is refused or shorter, never a crash', () => {
  const bytes = encodeNode([{ name: 'a', cid: cidOf(Uint8Array.of(1)).bytes, size: 5 }], Uint8Array.of(8, 1))
  for (let end = 0; end < bytes.length; end++) {
    try {
      decodeNode(bytes.subarray(0, end))
    } catch (error) {
      assert.is((error as { code?: string }).code, 'BAD_DAG', `cut at ${end}`)
    }
  }
})

dagPb.run()
