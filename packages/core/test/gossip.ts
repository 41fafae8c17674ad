import { CairnError, decode, encode, type Gossip, gossipCodec, pick, seeded } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { alive, peer } from './support/scene.ts'

const digest = { a: 0xffffffff, b: 1 }
const rumours = [
  { type: 'facts' as const, member: { ...alive('a', 7), zone: 'attic', full: true, http: 'http://a' } },
  { type: 'suspect' as const, id: peer('b'), incarnation: 3, accuser: peer('a') },
  { type: 'dead' as const, id: peer('b'), incarnation: 2 ** 48 },
  { type: 'left' as const, id: peer('c'), incarnation: 0, signature: Uint8Array.of(1, 2) }
]
const EXAMPLES: Gossip[] = [
  { type: 'ping', seq: 0, digest, rumours },
  { type: 'ack', seq: 0xffffffff, digest, rumours: [] },
  { type: 'probe', seq: 1, target: peer('b'), rumours },
  { type: 'probed', seq: 1, heard: false },
  { type: 'news', rumours },
  { type: 'digests', bits: 1, digests: [1, 2, 3, 4] },
  { type: 'summary', bits: 8, parts: [{ part: 255, items: [{ tag: 1, version: 2 }] }], more: true },
  {
    type: 'entries',
    bits: 0,
    entries: [{ member: { ...alive('a'), state: 'left' }, agoS: 5, signature: Uint8Array.of(9) }],
    wants: [{ part: 3, tag: 4 }],
    more: true
  }
]

const gossip = suite('gossip')

gossip('comes back from its bytes as it was', () => {
  for (const message of EXAMPLES) assert.equal(decode(gossipCodec, encode(gossipCodec, message)), message)
})

gossip('is a ping of 14 bytes when there is no news', () => {
  const quiet: Gossip = { type: 'ping', seq: 1, digest, rumours: [] }
  assert.is(encode(gossipCodec, quiet).length, 14)
})

gossip('refuses damaged bytes with a typed error, and never takes them for more than they are', () => {
  const random = seeded(1)
  let refused = 0
  for (let run = 0; run < 40_000; run++) {
    const bytes = encode(gossipCodec, EXAMPLES[run % EXAMPLES.length] as Gossip).slice()
    for (let i = pick(random, 3); i >= 0; i--) bytes[pick(random, bytes.length)] = pick(random, 256)
    const cut = random() < 0.3 ? bytes.subarray(0, pick(random, bytes.length)) : bytes
    try {
      assert.equal(encode(gossipCodec, decode(gossipCodec, cut)), Uint8Array.from(cut))
    } catch (error) {
      assert.ok(CairnError.is(error, 'BAD_MESSAGE'), `run ${run}: ${error}`)
      refused++
    }
  }
  assert.ok(refused > 10_000)
})

gossip.run()
