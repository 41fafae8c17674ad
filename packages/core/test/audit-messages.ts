import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { AUDIT_MESSAGES, type AuditMessage } from '../src/audit-messages.ts'
import { ACCUSATION_BYTES_MAX, POSSESSION_KEYS_MAX, STATEMENT_BYTES_MAX } from '../src/possession.ts'
import { decodeMessage, encodeMessage, isAudit, MESSAGE_BYTES_MAX } from '../src/wire.ts'
import { keyIn } from './support/data.ts'

const KEYS = Array.from({ length: POSSESSION_KEYS_MAX }, (_, i) => keyIn(i))
const signed = new Uint8Array(STATEMENT_BYTES_MAX).fill(1)
const LARGEST: AuditMessage[] = [
  { type: 'ask-hold', token: 2 ** 50, keys: KEYS },
  { type: 'hold', token: 1, signed },
  { type: 'witness', signed },
  {
    type: 'challenge',
    token: 1,
    nonce: new Uint8Array(16).fill(7),
    items: KEYS.map((key) => ({ key, offset: 2 ** 20, length: 16_384 }))
  },
  { type: 'proof', token: 1, signed },
  { type: 'retract', token: 1, life: 2 ** 32 - 1, upMs: 123_456, keys: KEYS },
  { type: 'retracted', token: 1 },
  { type: 'accuse', signed: new Uint8Array(ACCUSATION_BYTES_MAX).fill(2) }
]

const messages = suite('audit messages')

messages('each is read as it was written, at its largest too', () => {
  assert.equal(LARGEST.map(({ type }) => type).sort(), Object.keys(AUDIT_MESSAGES).sort())
  for (const message of LARGEST) {
    const bytes = encodeMessage(message)
    assert.ok(bytes.length <= MESSAGE_BYTES_MAX, message.type)
    const again = decodeMessage(bytes)
    assert.ok(isAudit(again))
    assert.equal(again, message)
  }
})

messages('more keys than one statement names are refused', () => {
  const keys = [...KEYS, keyIn(999)]
  assert.throws(
    () => encodeMessage({ type: 'ask-hold', token: 1, keys }),
    (e: unknown) => e instanceof RangeError
  )
})

messages.run()
