import type { BlockKey } from '@cairn/core'
import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sampleBlock } from '../src/contract.ts'
import {
  type Draft,
  isBefore,
  readRecord,
  recordBytes,
  recordSectionBytes,
  writeRecord
} from '../src/record.ts'

const record = suite('record')

const NONCE = Buffer.alloc(16, 7)
const AT = { segment: 5, offset: 8192 }

const DRAFT: Draft = {
  keys: [sampleBlock(1).key, sampleBlock(2).key],
  blocks: [{ key: 1, size: 100 }],
  proofs: [Uint8Array.of(1, 2, 3), new Uint8Array(0)],
  claims: [
    { key: 0, claimant: '0a0b', sequence: 2 ** 52, live: true, replicas: 32, proof: 0 },
    { key: 1, claimant: 'ff'.repeat(33), sequence: 0, live: false, replicas: 1, proof: 1 }
  ],
  deletions: [{ key: 0, before: { segment: 1, offset: 4096 } }]
}

function written(draft = DRAFT): { section: Buffer; proofs: number[] } {
  const { head, body } = recordBytes(draft)
  const section = Buffer.alloc(head + body)
  const placed = {
    nonce: NONCE,
    ...AT,
    length: 8192,
    durable: 4096,
    blockOffsets: draft.blocks.map(() => 777)
  }
  return { section, proofs: writeRecord(section, draft, placed) }
}

record('what is written is read again, proofs by where they lie', () => {
  const { section, proofs } = written()
  assert.is(recordSectionBytes(Buffer.concat([section, Buffer.alloc(50)])), section.length)
  const read = readRecord(section, NONCE, AT)
  assert.equal(read, {
    ...AT,
    length: 8192,
    durable: 4096,
    keys: DRAFT.keys,
    blocks: [{ key: 1, size: 100, offset: 777 }],
    proofs: [
      { offset: proofs[0], length: 3 },
      { offset: proofs[1], length: 0 }
    ],
    claims: DRAFT.claims,
    deletions: DRAFT.deletions
  })
  assert.equal([...section.subarray(proofs[0], (proofs[0] as number) + 3)], [1, 2, 3])
})

record('a record counts only in its own store and at its own place', () => {
  const { section } = written()
  assert.is(readRecord(section, Buffer.alloc(16), AT), undefined)
  assert.is(readRecord(section, NONCE, { ...AT, segment: 6 }), undefined)
  assert.is(readRecord(section, NONCE, { ...AT, offset: 4096 }), undefined)
})

record('any flipped bit of its bytes or its hash makes it none', () => {
  const { section } = written()
  for (let bit = 8 * 3; bit < 8 * section.length; bit++) {
    const bad = Buffer.from(section)
    bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7))
    if (bit >> 3 < 7) continue // the section's length and the codec are not the record's
    assert.is(readRecord(bad, NONCE, AT), undefined, `bit ${bit}`)
  }
})

record('no bytes make it throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      recordSectionBytes(Buffer.from(bytes))
      assert.is(readRecord(Buffer.from(bytes), NONCE, AT), undefined)
    })
  )
})

record('bytes after the known fields are passed over', () => {
  const { head, body } = recordBytes(DRAFT)
  const extended: Draft = { ...DRAFT, keys: [...DRAFT.keys] }
  const { section } = written(extended)
  const longer = Buffer.concat([section.subarray(head, head + body), Buffer.from('of a later version')])
  const reread = readRecord(sectionOf(longer), NONCE, AT)
  assert.equal(reread?.keys, DRAFT.keys)
})

function sectionOf(body: Buffer): Buffer {
  const { hash } = process.getBuiltinModule('node:crypto')
  const length = 36 + body.length
  const head = Buffer.from([(length & 0x7f) | 0x80, length >> 7, 0x01, 0x55, 0x12, 0x20])
  return Buffer.concat([head, hash('sha256', body, 'buffer'), body])
}

record('positions are ordered by segment, then by byte', () => {
  assert.ok(isBefore({ segment: 1, offset: 9 }, { segment: 2, offset: 0 }))
  assert.ok(isBefore({ segment: 1, offset: 1 }, { segment: 1, offset: 2 }))
  assert.not(isBefore({ segment: 1, offset: 1 }, { segment: 1, offset: 1 }))
})

record('the size is known before it is written', () => {
  const { section } = written({ keys: [] as BlockKey[], blocks: [], proofs: [], claims: [], deletions: [] })
  const { head, body } = recordBytes({ keys: [], blocks: [], proofs: [], claims: [], deletions: [] })
  assert.is(section.length, head + body)
})

record.run()
