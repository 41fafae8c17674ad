import { decodeMessage, encodeMessage, MESSAGE_BYTES_MAX, type Message, toHex } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { REF_MESSAGES, REF_PAGE, REF_TAGS } from '../src/ref-messages.ts'
import { OWNER } from './support/refs.ts'

const messages = suite('messages about refs')
const id = 'a'.repeat(64)
const bytes = new Uint8Array(200)
const entry = { records: [{ record: bytes, receipts: [bytes] }] }

messages('every one reads back from its bytes', () => {
  const all: Message[] = [
    { type: 'ref-propose', token: 1, record: bytes, receipts: [bytes], chain: entry.records },
    { type: 'ref-vote', token: 1, receipt: bytes },
    { type: 'ref-refuse', token: 1, why: 'rival', entry },
    { type: 'ref-ask', token: 1, id },
    { type: 'ref-told', token: 1, id, entry },
    { type: 'ref-take', token: undefined, entry },
    { type: 'ref-taken', token: 7 },
    { type: 'ref-compare', digest: '0'.repeat(16) },
    { type: 'ref-page', after: undefined, items: [{ id, digest: '0'.repeat(16) }], last: true },
    { type: 'ref-next', after: id },
    { type: 'ref-want', ids: [id] },
    { type: 'ref-boot', id, boot: 3 },
    { type: 'ref-booted', id, boot: 3, sequence: 9 },
    { type: 'ref-list', token: 1, owner: OWNER, after: id },
    { type: 'ref-listed', token: 1, records: entry.records, next: undefined },
    { type: 'ref-over', token: 1, id, hash: 'b'.repeat(64) },
    { type: 'ref-over-too', token: 1 }
  ]
  assert.is(new Set(all.map(({ type }) => type)).size, Object.keys(REF_MESSAGES).length)
  for (const message of all) assert.equal(decodeMessage(encodeMessage(message)), message)
})

messages('no two share a tag, and a full page fits one message', () => {
  assert.is(new Set(Object.values(REF_TAGS)).size, Object.keys(REF_TAGS).length)
  const items = Array.from({ length: REF_PAGE }, (_, i) => {
    return { id: toHex(new Uint8Array(32).fill(i % 256)), digest: '0'.repeat(16) }
  })
  const page = encodeMessage({ type: 'ref-page', after: id, items, last: false })
  assert.ok(page.length < MESSAGE_BYTES_MAX)
})

messages.run()
