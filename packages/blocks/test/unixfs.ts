import { CairnError } from '@cairn/core'
import * as dagPb from '@ipld/dag-pb'
import fc from 'fast-check'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeNode, encodeNode, Fields, linkLength } from '../src/dag-pb.ts'
import { cidOf, treeBlocks } from '../src/index.ts'
import { encodeDirectory, encodeFile, encodeShard, readNode } from '../src/unixfs.ts'
import { collect, noise, rejects } from './support/dag.ts'

const unixfs = suite('unixfs')
const LEAF = cidOf(noise(9))
const NODE = cidOf(noise(9), { codec: 'dag-pb' })
const link = (name: string, size = 9) => ({ name, cid: LEAF.bytes, size })
const read = (bytes: Uint8Array) => readNode(NODE, bytes)
const message = (fields: (to: Fields) => Fields) => fields(new Fields()).end()

unixfs('dag-pb is what the reference library writes, and both read it alike', () => {
  const name = fc.string({ unit: 'grapheme', maxLength: 20 })
  const links = fc.array(fc.record({ name, size: fc.maxSafeNat() }), { maxLength: 20 })
  fc.assert(
    fc.property(links, fc.uint8Array({ maxLength: 300 }), (some, data) => {
      const theirs = dagPb.prepare({
        Data: data,
        Links: some.map(({ name, size }) => ({ Name: name, Tsize: size, Hash: LEAF }))
      })
      const mine = theirs.Links.map(({ Name = '', Tsize = 0 }) => link(Name, Tsize))
      const bytes = encodeNode(mine, data)
      assert.equal(bytes, dagPb.encode(theirs))
      const back = decodeNode(bytes)
      assert.equal(
        back.links.map(({ name, size }) => [name, size]),
        mine.map(({ name, size }) => [name, size])
      )
      assert.equal(back.data, data)
      for (const link of mine)
        assert.is(linkLength(link) + encodeNode([], data).length, encodeNode([link], data).length)
    })
  )
})

unixfs('data before links is read too', () => {
  const bytes = dagPb.encode(
    { Data: new UnixFS({ type: 'directory' }).marshal(), Links: [{ Name: 'a', Tsize: 1, Hash: LEAF }] },
    { fieldOrder: 'data-first' }
  )
  const node = read(bytes)
  assert.is(node.type === 'directory' && node.links[0]?.name, 'a')
})

unixfs('files and directories are what the reference library reads', () => {
  const file = UnixFS.unmarshal(
    dagPb.decode(encodeFile([link('', 9), link('', 4)], [9, 4])).Data as Uint8Array
  )
  assert.is(file.type, 'file')
  assert.is(file.fileSize(), 13n)
  assert.equal(file.blockSizes, [9n, 4n])
  const shard = UnixFS.unmarshal(dagPb.decode(encodeShard([link('0Ax')], [10], 256)).Data as Uint8Array)
  assert.is(shard.type, 'hamt-sharded-directory')
  assert.is(shard.fanout, 256n)
  assert.equal(Uint8Array.from(shard.data as Uint8Array), Uint8Array.of(4, 0))
})

unixfs('older forms are read: bytes in the node, packed sizes, type raw, mode and mtime', () => {
  const inline = read(
    dagPb.encode({ Data: new UnixFS({ type: 'file', data: noise(7) }).marshal(), Links: [] })
  )
  assert.is(inline.type === 'file' && inline.size, 7)
  const raw = read(dagPb.encode({ Data: new UnixFS({ type: 'raw', data: noise(7) }).marshal(), Links: [] }))
  assert.is(raw.type === 'file' && raw.size, 7)
  const packed = message((to) => to.varint(1, 2).varint(3, 13).bytes(4, Uint8Array.of(9, 4)))
  const node = read(encodeNode([link(''), link('')], packed))
  assert.equal(node.type === 'file' && node.sizes, [9, 4])
  const dated = new UnixFS({ type: 'directory', mode: 0o700, mtime: { secs: 5n, nsecs: 9 } })
  assert.is(read(dagPb.encode({ Data: dated.marshal(), Links: [] })).type, 'directory')
})

const file = (fields: (to: Fields) => Fields, links = [link('')]) => encodeNode(links, message(fields))
const shard = (fields: (to: Fields) => Fields, names: string[] = []) =>
  encodeNode(
    names.map((name) => link(name)),
    message(fields)
  )

/** A directory with one entry whose name is these bytes. */
function encodeNodeOf(name: Uint8Array): Uint8Array {
  const link = message((to) => to.bytes(1, LEAF.bytes).bytes(2, name).varint(3, 1))
  return message((to) =>
    to.bytes(2, link).bytes(
      1,
      message((to) => to.varint(1, 1))
    )
  )
}

const HOSTILE: [string, Uint8Array, RegExp][] = [
  ['nothing', new Uint8Array(0), /no data/],
  ['rubbish', noise(100), /not/],
  ['an unknown type', file((to) => to.varint(1, 9), []), /type 9/],
  ['metadata', file((to) => to.varint(1, 3), []), /type 3/],
  ['no type', file((to) => to.bytes(2, noise(3)), []), /type -1/],
  ['fewer sizes than links', file((to) => to.varint(1, 2)), /1 links and 0 sizes/],
  ['more sizes than links', file((to) => to.varint(1, 2).varint(4, 1).varint(4, 1)), /more sizes/],
  ['a million packed sizes', file((to) => to.varint(1, 2).bytes(4, new Uint8Array(1_000_000))), /more sizes/],
  ['a false total', file((to) => to.varint(1, 2).varint(3, 5).varint(4, 9)), /claims 5 bytes and has 9/],
  [
    '2^53 bytes',
    file(
      (to) =>
        to
          .varint(1, 2)
          .varint(4, 2 ** 53 - 1)
          .varint(4, 1),
      [link(''), link('')]
    ),
    /2\^53/
  ],
  [
    'a size above 2^53',
    file((to) => to.varint(1, 2).bytes(4, Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255, 1))),
    /2\^53/
  ],
  ['an entry twice', encodeDirectory([link('a'), link('a')]), /two entries/],
  [
    'fanout 2^31',
    shard((to) =>
      to
        .varint(1, 5)
        .varint(5, 0x22)
        .varint(6, 2 ** 31)
    ),
    /fanout 2147483648/
  ],
  ['fanout 255', shard((to) => to.varint(1, 5).varint(5, 0x22).varint(6, 255)), /fanout 255/],
  ['no fanout', shard((to) => to.varint(1, 5).varint(5, 0x22)), /fanout undefined/],
  ['fanout 0', shard((to) => to.varint(1, 5).varint(5, 0x22).varint(6, 0)), /fanout 0/],
  ['another hash', shard((to) => to.varint(1, 5).varint(5, 0x12).varint(6, 256)), /hash 18/],
  [
    'a bitmap too large',
    shard((to) => to.varint(1, 5).varint(5, 0x22).varint(6, 8).bytes(2, noise(99))),
    /more entries/
  ],
  [
    'a link without its bit',
    shard((to) => to.varint(1, 5).varint(5, 0x22).varint(6, 256), ['0Aa']),
    /bitmap/
  ],
  ['a place twice', encodeShard([link('0Aa'), link('0Ab')], [10, 10], 256), /bitmap/],
  ['a place in lower case', encodeShard([link('0aa')], [10], 256), /out of place/],
  ['a label too short', encodeShard([link('0')], [0], 256), /out of place/],
  ['a place beyond the fanout', encodeShard([link('9x')], [1], 8), /out of place/],
  [
    'a link without a CID',
    encodeNode(
      [{ ...link('a'), cid: new Uint8Array(0) }],
      message((to) => to.varint(1, 1))
    ),
    /without a CID/
  ],
  [
    'a million empty links',
    Uint8Array.from({ length: 2_000_000 }, (_, i) => (i % 2 === 0 ? 0x12 : 0)),
    /without a CID/
  ],
  ['a name that is not UTF-8', encodeNodeOf(Uint8Array.of(0xff, 0xfe)), /not UTF-8/],
  ['an overlong name', encodeNodeOf(Uint8Array.of(0xc0, 0xaf)), /not UTF-8/]
]

unixfs('each hostile node is refused, and the error says why', async () => {
  for (const [what, bytes, why] of HOSTILE) {
    const error = await rejects(() => read(bytes), 'BAD_DAG').catch((cause) => {
      throw new Error(`${what}: ${cause.message}`, { cause })
    })
    assert.match(error.message, why, what)
  }
})

unixfs('a name that no directory may hold is UNSAFE_PATH', async () => {
  for (const name of ['', '.', '..', '../x', '/etc', 'a/b', 'a\0']) {
    await rejects(() => read(encodeDirectory([link(name)])), 'UNSAFE_PATH')
    if (name !== '') await rejects(() => read(encodeShard([link(`0A${name}`)], [10], 256)), 'UNSAFE_PATH')
  }
})

unixfs('another codec and a block too large are refused', async () => {
  await rejects(() => readNode(CID.createV1(0x71, NODE.multihash), noise(4)), 'BAD_DAG', /0x71/)
  await rejects(() => readNode(NODE, new Uint8Array(2 ** 21 + 1)), 'BLOCK_TOO_LARGE')
})

unixfs('any mutation of real nodes is a node or an error of ours', async () => {
  const names = Array.from({ length: 5_000 }, (_, i) => `n${i}`)
  const { root, blocks } = await collect(
    treeBlocks(names.map((name) => ({ type: 'file', path: [name], content: [noise(3)] })))
  )
  const seeds = [
    await blocks.get(root.cid),
    encodeFile([link(''), link('')], [9, 4]),
    encodeDirectory([link('a'), link('b')]),
    encodeShard([link('0Aa'), link('FF')], [10, 255], 256)
  ].filter((bytes) => bytes.length < 100_000)
  const change = fc.tuple(fc.nat(300), fc.nat(255), fc.constantFrom('set', 'insert', 'delete'))
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.array(change, { minLength: 1, maxLength: 5 }),
      (seed, changes) => {
        const bytes = [...seed]
        for (const [where, value, kind] of changes) {
          const at = where % bytes.length
          if (kind === 'set') bytes[at] = value
          else if (kind === 'insert') bytes.splice(at, 0, value)
          else bytes.splice(at, 1 + (value & 3))
        }
        try {
          read(Uint8Array.from(bytes))
        } catch (error) {
          if (!CairnError.is(error)) throw error
        }
      }
    ),
    { numRuns: 10_000 }
  )
})

unixfs.run()
