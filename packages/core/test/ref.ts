import {
  CairnError,
  decodeRefBody,
  encodeRefBody,
  isAcknowledged,
  isRefName,
  type PeerId,
  REF_BYTES_MAX,
  readRef,
  refId,
  refSigned,
  refSlot,
  SLOTS,
  sealRef,
  votersAfter
} from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { cryptoOf, ids, NETWORK, OWNER, record, seal, sha256 } from './support/refs.ts'

const refs = suite('ref records')
const refused = (run: () => unknown, code: string) =>
  assert.throws(run, (error: unknown) => CairnError.is(error) && error.code === code)

refs('a record reads back as it was signed', () => {
  const one = record([], { metadata: [{ key: 'size', value: '12' }], root: undefined })
  assert.equal(readRef(one.bytes, NETWORK, cryptoOf('anybody')), one)
  const { id, hash, bytes, ...body } = one
  assert.equal(decodeRefBody(encodeRefBody(body)), body)
  assert.is(id.length + hash.length, 128)
  assert.ok(bytes.length < 1_000)
})

refs('a changed byte, another network and another key are refused', () => {
  const one = record([])
  for (const at of [5, 40, one.bytes.length - 70, one.bytes.length - 40]) {
    const bytes = one.bytes.slice()
    bytes[at] = (bytes[at] as number) ^ 1
    assert.throws(() => readRef(bytes, NETWORK, cryptoOf('anybody')))
  }
  refused(() => readRef(one.bytes, '8'.repeat(32), cryptoOf('anybody')), 'WRONG_NETWORK')
  const { id: _, hash: __, bytes: ___, ...body } = one
  const forged = sealRef(body, seal('thief', refSigned(body)), { sha256 })
  refused(() => readRef(forged.bytes, NETWORK, cryptoOf('anybody')), 'BAD_MESSAGE')
})

refs('a record larger than the limit is not made', () => {
  const value = 'x'.repeat(512)
  const metadata = Array.from({ length: 16 }, (_, i) => ({ key: `key number ${i}`, value }))
  const history = Array.from({ length: 16 }, (_, i) => ({ sequence: i, root: new Uint8Array(100) }))
  refused(() => record([], { metadata, history, name: 'n'.repeat(255) }), 'TOO_LARGE')
  assert.is(REF_BYTES_MAX, 10_240)
})

refs('the id is of owner and name, and says the slot', () => {
  const id = refId({ owner: OWNER, name: 'photos' }, sha256)
  assert.is.not(id, refId({ owner: OWNER, name: 'photo' }, sha256))
  assert.is.not(id, refId({ owner: 'other' as PeerId, name: 'photos' }, sha256))
  assert.ok(refSlot(id) >= 0 && refSlot(id) < SLOTS)
})

refs('a name is one segment of a path that reads the same to everyone', () => {
  const good = ['photos', 'a.b-c_d', 'été', '写真', 'x'.repeat(255)]
  for (const name of good) assert.ok(isRefName(name), name)
  const bad = ['', '.', '..', 'a/b', 'a@2', 'a b', 'a\nb', 'a\u202eb', 'x'.repeat(256), '\ud800']
  for (const name of bad) assert.not(isRefName(name), JSON.stringify(name))
})

refs('a majority of every group acknowledges, and less does not', () => {
  const voters = [ids('a', 'b', 'c'), ids('c', 'd')]
  assert.ok(isAcknowledged({ voters }, new Set(ids('b', 'c', 'd'))))
  assert.not(isAcknowledged({ voters }, new Set(ids('a', 'b', 'c'))))
  assert.not(isAcknowledged({ voters }, new Set(ids('c', 'd'))))
})

refs('what settles rivals is voted on by those who voted on them, and those whom they name', () => {
  const base = record([], { electorate: ids('a', 'b', 'c') })
  const one = record([base], { electorate: ids('c', 'd', 'e') })
  const other = record([base], { electorate: ids('a', 'b', 'f') })
  assert.equal(votersAfter([one]), [ids('c', 'd', 'e')])
  assert.equal(votersAfter([one, other]), [ids('a', 'b', 'c'), ids('a', 'b', 'f'), ids('c', 'd', 'e')])
})

refs.run()
