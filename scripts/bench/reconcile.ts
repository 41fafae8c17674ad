/**
 * What comparing two members costs that differ in d of a million blocks: the bytes and messages of the
 * protocol itself, until both know all that they lack, beside the flat list of keys that one would send the
 * other. The pure core, two members, no network and no disk; the blocks themselves are not counted.
 *
 * Run: npm run bench -- reconcile [BLOCKS] [d...]
 */
import { createHash } from 'node:crypto'
import {
  type BlockKey,
  blockKey,
  type Core,
  type CoreAction,
  type CoreEvent,
  coreStep,
  createCore,
  encodeMessage,
  type FingerprintItem,
  fingerprintOf,
  isCompare,
  type PeerId,
  type SlotSummary,
  seeded,
  slotOf
} from '@cairn/core'

const BLOCKS = Number(process.argv[2] ?? 1_000_000)
const DIFFERENCES = process.argv.length > 3 ? process.argv.slice(3).map(Number) : [0, 10, 10_000]
const BLOCK_BYTES = 1_000
/** Between ticks of both, and for how long at most, ms of virtual time. */
const TICK_MS = 50
const LIMIT_MS = 3_600_000
const REPLICAS = 3
/** On the wire of a listing: the key with its length, its size, eight bytes of claims. */
const FLAT_ENTRY_BYTES = 1 + 34 + 2 + 8
const CLAIM = { claimant: `01${'0'.repeat(64)}`, sequence: 1, live: true }
/** Messages that wait for an answer. */
const ASKING = ['compare', 'parts', 'list', 'offer']
const CLAIMS_DIGEST = '00'.repeat(8)

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()

interface Side {
  id: PeerId
  core: Core
  /** Keys of each slot, sorted. */
  slots: Map<number, BlockKey[]>
}

interface Count {
  messages: number
  bytes: number
  /** Those that wait for an answer. */
  asked: number
  /** Blocks that came. */
  fetched: number
}

const keys = Array.from({ length: BLOCKS }, (_, i) =>
  blockKey(Uint8Array.of(0x12, 32, ...sha256(new TextEncoder().encode(`block ${i}`))))
)
console.log(`| d of ${BLOCKS} | bytes | messages | round trips | bytes of a flat list |`)
console.log('|---|---|---|---|---|')
for (const d of DIFFERENCES) {
  const { bytes, messages, asked, fetched } = compared(d)
  if (fetched !== d) throw new Error(`${fetched} of ${d} came`)
  const flat = BLOCKS * FLAT_ENTRY_BYTES
  console.log(`| ${d} | ${bytes} | ${messages} | ${asked} | ${flat} |`)
}

/** One has all, the other all but d; both compare until neither lacks anything, then once more. */
function compared(d: number): Count {
  const lacking = new Set(Array.from({ length: d }, (_, i) => keys[i * Math.floor(BLOCKS / Math.max(1, d))]))
  const sides = [sideOf(0, new Set()), sideOf(1, lacking)] as const
  const count: Count = { messages: 0, bytes: 0, asked: 0, fetched: 0 }
  for (const [i, side] of sides.entries()) {
    const { placed } = (sides[1 - i] as Side).core
    act(sides, side, { type: 'found', members: [{ id: placed.id, addresses: [] }] }, { count, nowMs: 0 })
    act(sides, side, { type: 'connected', peer: placed.id }, { count, nowMs: 0 })
  }
  let nowMs = 0
  const meets = () => sides.every(({ core }) => core.holders.placement.size === 2)
  for (; !meets(); nowMs += TICK_MS) tick(sides, { count, nowMs })
  const zero = { messages: 0, bytes: 0, asked: 0 }
  for (const side of sides) act(sides, side, { type: 'summaries', summaries: allOf(side) }, { count, nowMs })
  Object.assign(count, zero)
  const agree = () => sides.every(({ core, id }) => agreed(core, sides.find((one) => one.id !== id) as Side))
  for (const endMs = nowMs + LIMIT_MS; !agree(); nowMs += TICK_MS) {
    if (nowMs > endMs) throw new Error(`they do not agree within an hour: ${JSON.stringify(count)}`)
    tick(sides, { count, nowMs })
  }
  return count
}

function agreed({ reconciler }: Core, other: Side): boolean {
  return reconciler.peers.get(other.id)?.agreedVersion === reconciler.version
}

function sideOf(n: number, lacking: ReadonlySet<BlockKey | undefined>): Side {
  const id = `12D3KooW${n}` as PeerId
  const facts = {
    ...{ addresses: [`/ip4/127.0.0.1/tcp/${n + 1}`], capacity: 2 ** 40, zone: undefined, name: `n${n}` },
    ...{ full: false, http: undefined, version: '0' }
  }
  const crypto = { sha256, sign: () => new Uint8Array(64), verify: () => true }
  const about = { id, facts, incarnation: 1, life: '0'.repeat(16), config: { replicas: REPLICAS } }
  const core = createCore({ ...about, random: seeded(n + 1), crypto: crypto as never }, 0)
  const slots = new Map<number, BlockKey[]>()
  for (const key of keys) {
    if (lacking.has(key)) continue
    const slot = slots.get(slotOf(key))
    if (slot === undefined) slots.set(slotOf(key), [key])
    else slot.push(key)
  }
  for (const slot of slots.values()) slot.sort()
  return { id, core, slots }
}

function allOf({ slots }: Side): SlotSummary[] {
  return [...slots].map(([slot, held]) => summaryOf(slot, held))
}

function summaryOf(slot: number, held: readonly BlockKey[]): SlotSummary {
  const items: FingerprintItem[] = held.map((key) => ({ key, claims: [CLAIM] }))
  const sizes = { blocks: held.length, bytes: held.length * BLOCK_BYTES }
  return { slot, replicas: REPLICAS, ...sizes, fingerprint: fingerprintOf(items, sha256) }
}

interface Scene {
  count: Count
  nowMs: number
}

function tick(sides: readonly [Side, Side], scene: Scene): void {
  for (const side of sides) act(sides, side, { type: 'tick' }, scene)
}

/** Gives a core an event, and does what follows from it, on both sides. */
function act(sides: readonly [Side, Side], side: Side, event: CoreEvent, scene: Scene): void {
  const queue: { side: Side; event: CoreEvent }[] = [{ side, event }]
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    for (const action of coreStep(next.side.core, next.event, scene.nowMs)) {
      queue.push(...follows(sides, next.side, action, scene))
    }
  }
}

function follows(
  sides: readonly [Side, Side],
  side: Side,
  action: CoreAction,
  { count }: Scene
): { side: Side; event: CoreEvent }[] {
  switch (action.type) {
    case 'send': {
      const to = sides.find(({ id }) => id === action.to)
      const { message } = action
      if (isCompare(message)) {
        count.messages++
        count.bytes += encodeMessage(message).length
        if (ASKING.includes(message.type) || (message.type === 'slots' && message.answer)) count.asked++
      }
      return to === undefined ? [] : [{ side: to, event: { type: 'message', from: side.id, message } }]
    }
    case 'list-slots': {
      const lists = action.slots.map(({ slot, after }) => {
        const from = (side.slots.get(slot) ?? []).filter((key) => after === undefined || key > after)
        return from.slice(0, action.limit).map(listed)
      })
      return [{ side, event: { type: 'listed', token: action.token, lists } }]
    }
    case 'look-up': {
      const held = action.keys.filter((key) => side.slots.get(slotOf(key))?.includes(key))
      const found = new Map(held.map((key) => [key, { claims: CLAIMS_DIGEST, held: true }]))
      return [{ side, event: { type: 'looked-up', token: action.token, found } }]
    }
    case 'fetch-blocks': {
      const { transfer, keys: fetched } = action
      const touched = new Set<number>()
      for (const key of fetched) {
        const slot = side.slots.get(slotOf(key)) ?? []
        side.slots.set(slotOf(key), [...slot, key].sort())
        touched.add(slotOf(key))
      }
      count.fetched += fetched.length
      const came = fetched.map((key) => ({ type: 'fetched', transfer, key, outcome: 'held' }) as const)
      const summaries = [...touched].map((slot) => summaryOf(slot, side.slots.get(slot) ?? []))
      const events: CoreEvent[] = [
        ...came,
        { type: 'stored', keys: fetched },
        { type: 'summaries', summaries }
      ]
      return events.map((event) => ({ side, event }))
    }
    default:
      return []
  }
}

function listed(key: BlockKey) {
  return { key, size: BLOCK_BYTES, claims: CLAIMS_DIGEST, replicas: REPLICAS }
}
