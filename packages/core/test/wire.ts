import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { blockKey, type PeerId } from '../src/block.ts'
import { toHex } from '../src/bytes.ts'
import { CairnError } from '../src/errors.ts'
import { DATA_LIMITS } from '../src/limits.ts'
import {
  decodeMessage,
  encodeMessage,
  isCompare,
  isGossip,
  MESSAGE_BYTES_MAX,
  type Message
} from '../src/wire.ts'

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const hex = (length: number) => bytes(length).map(toHex)
const key = bytes(32).map((digest) => blockKey(Uint8Array.of(0x12, 32, ...digest)))
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const varint = fc.oneof(fc.nat(), fc.constant(Number.MAX_SAFE_INTEGER), fc.constant(0))
const slot = fc.integer({ min: 0, max: 65_535 })
const replicas = fc.integer({ min: 1, max: 32 })
const peerId = fc.stringMatching(/^[A-Za-z0-9]{1,64}$/) as fc.Arbitrary<string> as fc.Arbitrary<PeerId>
const some = <T>(item: fc.Arbitrary<T>) => fc.array(item, { maxLength: 5 })

const incarnation = fc.nat()
const facts = {
  addresses: some(fc.stringMatching(/^[a-z0-9/.]{1,30}$/)),
  capacity: varint,
  zone: fc.option(fc.stringMatching(/^[a-z]{1,10}$/), { nil: undefined }),
  name: fc.option(fc.stringMatching(/^[a-z]{1,10}$/), { nil: undefined }),
  full: fc.boolean(),
  http: fc.option(fc.constant('http://127.0.0.1:1'), { nil: undefined }),
  version: fc.constant('0.1.0')
}
const living = fc.record({ id: peerId, incarnation, state: fc.constantFrom('alive', 'leaving'), ...facts })
const rumour = fc.oneof(
  fc.record({ type: fc.constant('facts'), member: living }),
  fc.record({ type: fc.constant('suspect'), id: peerId, incarnation, accuser: peerId }),
  fc.record({ type: fc.constant('dead'), id: peerId, incarnation }),
  fc.record({ type: fc.constant('left'), id: peerId, incarnation, signature: bytes(64) })
)
const rumours = some(rumour)
const digest = fc.record({ a: u32, b: u32 })
const summary = fc.record({ slot, replicas, fingerprint: hex(16), blocks: varint, bytes: varint })
const count = { blocks: varint, bytes: varint }
const copies = fc.integer({ min: 0, max: 255 })
const tally = fc.record({
  ...count,
  short: some(fc.record({ copies, ...count })),
  unconfirmed: fc.record(count),
  wanted: varint,
  rate: varint,
  waitMs: varint
})
const after = fc.option(key, { nil: undefined })
const listed = fc.record({ key, size: varint, claims: hex(8) })
const register = fc.record({ claimant: hex(33), sequence: varint, live: fc.boolean() })

const known = fc.record({ record: bytes(300), receipts: some(bytes(120)) })
const entry = fc.record({ records: some(known) })
const refAfter = fc.option(hex(32), { nil: undefined })
const refMessages = {
  'ref-propose': fc.record({
    token: varint,
    record: bytes(300),
    receipts: some(bytes(120)),
    chain: some(known)
  }),
  'ref-vote': fc.record({ token: varint, receipt: bytes(120) }),
  'ref-refuse': fc.record({ token: varint, why: fc.constantFrom('stale', 'rival', 'unproven'), entry }),
  'ref-ask': fc.record({ token: varint, id: hex(32) }),
  'ref-told': fc.record({ token: varint, id: hex(32), entry }),
  'ref-take': fc.record({ token: fc.option(varint, { nil: undefined }), entry }),
  'ref-taken': fc.record({ token: varint }),
  'ref-compare': fc.record({ digest: hex(8) }),
  'ref-page': fc.record({
    after: refAfter,
    items: some(fc.record({ id: hex(32), digest: hex(8) })),
    last: fc.boolean()
  }),
  'ref-next': fc.record({ after: hex(32) }),
  'ref-want': fc.record({ ids: some(hex(32)) }),
  'ref-boot': fc.record({ id: hex(32), boot: varint }),
  'ref-booted': fc.record({ id: hex(32), boot: varint, sequence: varint }),
  'ref-list': fc.record({ token: varint, owner: fc.option(peerId, { nil: undefined }), after: refAfter }),
  'ref-listed': fc.record({ token: varint, records: some(known), next: refAfter }),
  'ref-over': fc.record({ token: varint, id: hex(32), hash: hex(32) }),
  'ref-over-too': fc.record({ token: varint })
}

/** One arbitrary for each type of message. */
const MESSAGES: { [K in Message['type']]: fc.Arbitrary<unknown> } = {
  'ask-doomed': fc.record({ token: varint, without: some(peerId), from: varint }),
  'tell-doomed': fc.record({
    token: varint,
    keys: some(fc.record({ key, size: varint, replicas: fc.nat(255) })),
    more: fc.boolean(),
    next: varint
  }),
  ping: fc.record({ seq: u32, digest, rumours }),
  ack: fc.record({ seq: u32, digest, rumours }),
  probe: fc.record({ seq: u32, target: peerId, rumours }),
  probed: fc.record({ seq: u32, heard: fc.boolean() }),
  news: fc.record({ rumours }),
  digests: fc.record({ bits: fc.nat(255), digests: some(u32) }),
  summary: fc.record({
    bits: fc.nat(255),
    parts: some(fc.record({ part: fc.nat(255), items: some(fc.record({ tag: u32, version: u32 })) })),
    more: fc.boolean()
  }),
  entries: fc.record({
    bits: fc.nat(255),
    entries: some(
      fc.record({ member: living, agoS: varint, signature: fc.option(bytes(64), { nil: undefined }) })
    ),
    wants: some(fc.record({ part: fc.nat(255), tag: u32 })),
    more: fc.boolean()
  }),
  compare: fc.record({ round: varint, root: hex(16), known: fc.option(hex(16), { nil: undefined }) }),
  agree: fc.record({ round: varint, still: fc.boolean() }),
  groups: fc.record({ round: varint, digests: bytes(2_048) }),
  slots: fc.record({
    round: varint,
    spans: some(fc.record({ from: slot, to: slot })),
    summaries: some(summary),
    answer: fc.boolean(),
    whole: fc.boolean()
  }),
  parts: fc.record({
    round: varint,
    from: slot,
    groups: some(fc.record({ group: fc.nat(255), digests: bytes(128) }))
  }),
  marks: fc.record({
    round: varint,
    spans: some(fc.record({ from: slot, to: slot })),
    marks: some(fc.record({ slot, replicas, mark: u32 })),
    all: fc.boolean()
  }),
  list: fc.record({
    nonce: varint,
    slots: some(fc.record({ slot, replicas, after, have: fc.option(bytes(16), { nil: undefined }) }))
  }),
  listing: fc.record({
    pages: some(
      fc.record({ slot, replicas, after, fingerprint: hex(16), entries: some(listed), next: after })
    )
  }),
  offer: fc.record({ summaries: some(summary) }),
  settled: fc.record({ summaries: some(summary) }),
  release: fc.record({
    life: hex(8),
    attempt: varint,
    copies: some(fc.record({ key, replicas, claims: some(register) }))
  }),
  promise: fc.record({ life: hex(8), attempt: varint, keys: some(key) }),
  'more-claims': fc.record({ blocks: some(fc.record({ key, claims: hex(8) })) }),
  ended: fc.record({
    life: hex(8),
    round: varint,
    copies: some(fc.record({ key, replicas, claims: some(register) }))
  }),
  'ended-too': fc.record({ life: hex(8), round: varint, keys: some(key) }),
  'bad-copy': fc.record({ key, reason: fc.string({ maxLength: 64 }) }),
  ...refMessages,
  'ask-scrub': fc.record({ run: hex(8) }),
  'tell-scrub': fc.record({
    run: hex(8),
    state: fc.constantFrom('running', 'done', 'refused'),
    ...{ blocks: varint, bytes: varint, total: varint, damaged: varint, refetched: varint, besides: varint }
  }),
  'ask-hold': fc.record({ token: varint, keys: some(key) }),
  hold: fc.record({ token: varint, signed: bytes(300) }),
  witness: fc.record({ signed: bytes(300) }),
  challenge: fc.record({
    token: varint,
    nonce: bytes(16),
    items: some(fc.record({ key, offset: u32, length: u32 }))
  }),
  proof: fc.record({ token: varint, signed: bytes(300) }),
  retract: fc.record({ token: varint, life: u32, upMs: varint, keys: some(key) }),
  retracted: fc.record({ token: varint }),
  accuse: fc.record({ signed: bytes(300) }),
  survey: fc.record({ token: varint, without: some(peerId) }),
  tally: fc.record({ token: varint, tally }),
  inquiry: fc.record({ token: varint, keys: some(key) }),
  inquired: fc.record({ token: varint, held: bytes(3) }),
  'mirror-here': fc.record({ refs: some(hex(32)) }),
  'mirror-there': fc.record({ id: hex(32), peers: some(fc.record({ peer: peerId, agoMs: varint })) }),
  'ref-heat': fc.record({ refs: some(fc.record({ id: hex(32), blocks: varint })) }),
  'ref-warm': fc.record({ id: hex(32), blocks: varint })
}
const message = fc.oneof(
  ...Object.entries(MESSAGES).map(([type, body]) =>
    body.map((fields) => ({ type, ...(fields as object) }) as Message)
  )
)

function refused(from: Uint8Array): boolean {
  try {
    decodeMessage(from)
    return false
  } catch (error) {
    assert.ok(error instanceof CairnError && error.code === 'BAD_MESSAGE', String(error))
    return true
  }
}

const wire = suite('wire')

wire('every message is read back as it was written', () => {
  for (const [type, body] of Object.entries(MESSAGES)) {
    fc.assert(
      fc.property(body, (fields) => {
        const said = structuredClone({ type, ...(fields as object) }) as Message // no null prototypes
        assert.equal(decodeMessage(encodeMessage(said)), said)
      }),
      { numRuns: 50 }
    )
  }
})

wire('any bytes are a message or BAD_MESSAGE, and nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 4_096 }), (noise) => void refused(noise)),
    { numRuns: 2_000 }
  )
  const tags = [...Array(256).keys()]
  fc.assert(
    fc.property(fc.constantFrom(...tags), fc.uint8Array({ maxLength: 300 }), (tag, noise) => {
      refused(Uint8Array.of(tag, ...noise))
    }),
    { numRuns: 5_000 }
  )
})

wire('a message that was cut, lengthened or bent is refused, or is another message in its only form', () => {
  fc.assert(
    fc.property(message, fc.nat(), fc.integer({ min: 1, max: 255 }), (said, at, bend) => {
      const good = encodeMessage(said)
      assert.ok(refused(good.subarray(0, at % good.length)), 'cut')
      assert.ok(refused(Uint8Array.of(...good, 0)), 'lengthened')
      const bent = good.slice()
      bent[at % good.length] = (bent[at % good.length] as number) ^ bend
      if (!refused(bent)) assert.equal(encodeMessage(decodeMessage(bent)), bent)
    }),
    { numRuns: 1_000 }
  )
})

wire('a count says nothing that is not there: no room is made for what never comes', () => {
  const many = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]
  for (let tag = 0; tag < 64; tag++) {
    for (let before = 0; before < 24; before++) {
      const claim = Uint8Array.of(tag, ...new Uint8Array(before), ...many)
      assert.ok(refused(claim) || claim.length < 40)
    }
  }
})

wire('N beyond 1 to 32 is refused', () => {
  const good = encodeMessage({
    type: 'list',
    nonce: 0,
    slots: [{ slot: 1, replicas: 32, after: undefined, have: undefined }]
  })
  for (const bad of [0, 33, 255]) {
    const bent = good.slice()
    bent[5] = bad
    assert.ok(refused(bent), `N = ${bad}`)
  }
})

wire('the largest message of each kind fits', () => {
  const most = Number.MAX_SAFE_INTEGER
  const hash = 'ff'.repeat(16)
  const full = { slot: 65_535, replicas: 32, fingerprint: hash, blocks: most, bytes: most }
  const summaries = Array.from({ length: DATA_LIMITS.slotsPerMessage }, () => full)
  const spans = Array.from({ length: DATA_LIMITS.spansPerMessage }, () => ({ from: 65_535, to: 65_535 }))
  const mark = { slot: 65_535, replicas: 32, mark: 2 ** 32 - 1 }
  const marks = Array.from({ length: DATA_LIMITS.marksPerMessage }, () => mark)
  const groups = Array.from({ length: DATA_LIMITS.groupsPerRound }, () => {
    return { group: 255, digests: new Uint8Array(128) }
  })
  const long = blockKey(Uint8Array.of(0x13, 64, ...new Uint8Array(64).fill(255)))
  const entry = { key: long, size: most, claims: 'ff'.repeat(8) }
  const asked = { slot: 65_535, replicas: 32, after: long, have: undefined }
  const have = new Uint8Array(DATA_LIMITS.haveBytes / DATA_LIMITS.slotsListed)
  const keys = (count: number) => Array.from({ length: count }, () => entry)
  const pages = Array.from({ length: DATA_LIMITS.pagesPerMessage }, (_, i) => {
    return { ...asked, fingerprint: hash, entries: i < 2 ? keys(DATA_LIMITS.pageKeys) : [], next: long }
  })
  const counts = { blocks: most, bytes: most }
  const rest = { wanted: most, rate: most, waitMs: most }
  const short = Array.from({ length: 33 }, (_, copies) => ({ copies, ...counts }))
  const all: Message[] = [
    { type: 'offer', summaries },
    { type: 'settled', summaries },
    { type: 'slots', round: most, spans, summaries, answer: true, whole: true },
    { type: 'parts', round: most, from: 65_535, groups },
    { type: 'marks', round: most, spans, marks, all: true },
    { type: 'groups', round: most, digests: new Uint8Array(2_048) },
    { type: 'list', nonce: 0, slots: Array.from({ length: DATA_LIMITS.slotsListed }, () => asked) },
    {
      type: 'list',
      nonce: most,
      slots: Array.from({ length: DATA_LIMITS.slotsListed }, () => ({ ...asked, have }))
    },
    { type: 'listing', pages },
    { type: 'inquiry', token: most, keys: new Array(DATA_LIMITS.inquiryKeys).fill(long) },
    { type: 'inquired', token: most, held: new Uint8Array(DATA_LIMITS.inquiryKeys / 8) },
    { type: 'survey', token: most, without: new Array(DATA_LIMITS.lossMembers).fill('x'.repeat(64)) },
    { type: 'tally', token: most, tally: { ...counts, ...rest, short, unconfirmed: counts } }
  ]
  assert.is(2 * DATA_LIMITS.pageKeys, DATA_LIMITS.keysPerMessage)
  for (const said of all) {
    const { length } = encodeMessage(said)
    assert.ok(length <= MESSAGE_BYTES_MAX, `${said.type} takes ${length} bytes`)
  }
})

wire('each message belongs to one of three conversations', () => {
  for (const type of Object.keys(MESSAGES)) {
    const said = { type } as Message
    assert.not.ok(isGossip(said) && isCompare(said))
  }
  assert.ok(isGossip({ type: 'news', rumours: [] }))
  assert.ok(isCompare({ type: 'agree', round: 1, still: false }))
})

wire.run()
