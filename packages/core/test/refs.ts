import { type PeerId, type RefRecord, signRef } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { RefMessage } from '../src/ref-messages.ts'
import {
  createRefs,
  onRefEvent,
  onRefMessage,
  type RefAction,
  type Refs,
  refsDeadline,
  refsTick
} from '../src/refs.ts'
import { become, holdersOf, peer } from './support/data.ts'
import { cryptoOf, NETWORK, OWNER } from './support/refs.ts'

const suiteOfRefs = suite('refs at a member')

interface World {
  refs: Refs[]
  states: Map<string, Uint8Array>[]
  holders: ReturnType<typeof holdersOf>
  nowMs: number
  told: RefAction[]
  /** Keeps wait while set. */
  slowDisk: boolean
  waiting: (() => void)[]
  down: Set<number>
  sent: string[]
}

function world(count: number): World {
  const states = Array.from({ length: count }, () => new Map<string, Uint8Array>())
  const refs = states.map((_, n) => start(n, 1, []))
  const none = { told: [], waiting: [], down: new Set<number>(), sent: [] }
  return { refs, states, holders: holdersOf(count), nowMs: 0, slowDisk: false, ...none }
}

function start(n: number, boot: number, states: readonly Uint8Array[]): Refs {
  const table = { self: peer(n), crypto: cryptoOf(peer(n)), replicas: 3 }
  return createRefs({ network: NETWORK, boot, states }, table, 0)
}

/** Performs actions until there are none, in order. */
function perform(at: World, n: number, actions: readonly RefAction[]): void {
  const scene = () => ({ holders: at.holders, nowMs: at.nowMs, apart: false })
  for (const action of actions) {
    if (action.type === 'send') {
      const to = Number(action.to.slice(5))
      at.sent.push(action.message.type)
      if (at.down.has(to) || at.down.has(n)) continue
      perform(at, to, onRefMessage(at.refs[to] as Refs, scene(), peer(n), action.message))
    } else if (action.type === 'keep-ref') {
      const done = () => {
        at.states[n]?.set(action.id, action.bytes)
        perform(
          at,
          n,
          onRefEvent(at.refs[n] as Refs, scene(), { type: 'ref-kept', token: action.token, atMs: 5 })
        )
      }
      if (at.slowDisk) at.waiting.push(done)
      else done()
    } else at.told.push(action)
  }
}

function tick(at: World, ms: number): void {
  at.nowMs += ms
  at.refs.forEach((refs, n) => {
    if (!at.down.has(n))
      perform(at, n, refsTick(refs, { holders: at.holders, nowMs: at.nowMs, apart: false }))
  })
}

function draft(at: World, n: number, root: number): RefRecord | undefined {
  const want = { owner: OWNER, name: 'photos', root: Uint8Array.of(root) }
  at.told.length = 0
  perform(
    at,
    n,
    onRefEvent(
      at.refs[n] as Refs,
      { holders: at.holders, nowMs: at.nowMs, apart: false },
      { type: 'ref-draft', request: 1, want }
    )
  )
  const told = at.told.find((one) => one.type === 'ref-drafted')
  if (told?.type !== 'ref-drafted' || told.draft.type !== 'draft') return undefined
  return signRef(told.draft.body, cryptoOf(OWNER))
}

function propose(at: World, n: number, record: RefRecord): string | undefined {
  at.told.length = 0
  const scene = { holders: at.holders, nowMs: at.nowMs, apart: false }
  perform(at, n, onRefEvent(at.refs[n] as Refs, scene, { type: 'ref-propose', request: 2, record }))
  return outcome(at)
}

function outcome(at: World): string | undefined {
  const told = at.told.find((one) => one.type === 'ref-updated')
  return told?.type === 'ref-updated' ? told.outcome.type : undefined
}

function set(at: World, n: number, root: number): string | undefined {
  const record = draft(at, n, root)
  return record && propose(at, n, record)
}

suiteOfRefs('an update is acknowledged by the members, and read at each', () => {
  const at = world(3)
  assert.is(set(at, 0, 1), 'acknowledged')
  assert.is(set(at, 0, 2), 'acknowledged')
  assert.is(set(at, 2, 3), 'acknowledged')
  for (const refs of at.refs) {
    const [held] = [...refs.table.carried.values()]
    assert.is(held?.entry.best?.record.sequence, 3)
  }
})

suiteOfRefs('nothing goes out and no vote is given before it is on disk', () => {
  const at = world(3)
  const record = draft(at, 0, 1) as RefRecord
  at.slowDisk = true
  at.sent.length = 0
  propose(at, 0, record)
  assert.not(at.sent.includes('ref-propose'))
  at.waiting.shift()?.()
  tick(at, 10)
  assert.ok(at.sent.includes('ref-propose'))
  assert.not(at.sent.includes('ref-vote'))
  while (at.waiting.length > 0) at.waiting.shift()?.()
  assert.is(outcome(at), 'acknowledged')
})

suiteOfRefs('of two drafted alike one is acknowledged and the other refused', () => {
  const at = world(3)
  set(at, 0, 1)
  const [one, other] = [draft(at, 0, 2), draft(at, 1, 3)] as [RefRecord, RefRecord]
  assert.is(one.sequence, other.sequence)
  assert.is(propose(at, 0, one), 'acknowledged')
  assert.is(propose(at, 1, other), 'refused')
})

suiteOfRefs('without a majority it ends in time, and says who was silent', () => {
  const at = world(3)
  set(at, 0, 1)
  at.down = new Set([1, 2])
  const record = draft(at, 0, 2) as RefRecord
  assert.is(propose(at, 0, record), undefined)
  for (let i = 0; i < 20; i++) tick(at, 500)
  assert.is(outcome(at), 'too-few')
  at.down.clear()
  const finished = draft(at, 1, 9)
  assert.is(finished, undefined, 'what was begun is to be finished first')
  assert.is(propose(at, 1, record), 'acknowledged', 'by the same bytes, at another member')
})

suiteOfRefs('who knows nobody yet drafts no next record, unless it was to vote alone', () => {
  for (const [count, drafted] of [[3, 'unknown'] as const, [1, 'draft'] as const]) {
    const at = world(count)
    set(at, 0, 1)
    const again = start(0, 2, [...(at.states[0]?.values() ?? [])])
    const scene = { holders: holdersOf(1), nowMs: 0, apart: true }
    const want = { owner: OWNER, name: 'photos', root: Uint8Array.of(2) }
    const told = onRefEvent(again, scene, { type: 'ref-draft', request: 1, want })
    told.push(...refsTick(again, { ...scene, nowMs: 5_000 }))
    const drafts = told.flatMap((one) => (one.type === 'ref-drafted' ? one.draft.type : []))
    assert.equal(drafts, [drafted], `of ${count}`)
  }
})

suiteOfRefs('a member put back to an older state does not vote twice', () => {
  const at = world(3)
  set(at, 0, 1)
  const old = [...(at.states[1]?.values() ?? [])]
  const record = draft(at, 0, 2) as RefRecord
  const rival = signRef({ ...record, root: Uint8Array.of(9) }, cryptoOf(OWNER))
  assert.is(propose(at, 0, record), 'acknowledged')
  at.refs[1] = start(1, 1, old)
  at.down = new Set([0])
  propose(at, 1, rival)
  for (let i = 0; i < 20; i++) tick(at, 500)
  assert.is.not(outcome(at), 'acknowledged')
  at.down.clear()
  assert.is(set(at, 0, 3), 'acknowledged')
  assert.is(set(at, 0, 4), 'acknowledged')
  assert.ok([...(at.refs[1] as Refs).table.carried.values()].every(({ ballot }) => ballot.floor > 0))
})

suiteOfRefs('a read asks those that carry it, and the latest a majority', () => {
  const at = world(5)
  set(at, 0, 1)
  const id = [...(at.refs[0] as Refs).table.carried.keys()][0] as string
  for (const latest of [false, true]) {
    for (let n = 0; n < 5; n++) {
      at.told.length = 0
      const scene = { holders: at.holders, nowMs: at.nowMs, apart: false }
      perform(at, n, onRefEvent(at.refs[n] as Refs, scene, { type: 'ref-read', request: 3, id, latest }))
      const told = at.told.find((one) => one.type === 'ref-read-over')
      assert.is(told?.type === 'ref-read-over' && told.entry.best?.record.sequence, 1)
      if (latest) assert.ok(told?.type === 'ref-read-over' && told.quorum)
    }
  }
})

suiteOfRefs('a ref of our own whose electorate lost a member is to be renewed', () => {
  const at = world(5)
  const want = { owner: peer(0), name: 'mine', root: Uint8Array.of(1) }
  const scene = () => ({ holders: at.holders, nowMs: at.nowMs, apart: false })
  perform(at, 0, onRefEvent(at.refs[0] as Refs, scene(), { type: 'ref-draft', request: 1, want }))
  const told = at.told.find((one) => one.type === 'ref-drafted')
  if (told?.type !== 'ref-drafted' || told.draft.type !== 'draft') throw new Error('no draft')
  const record = signRef(told.draft.body, cryptoOf(peer(0)))
  assert.is(propose(at, 0, record), 'acknowledged')
  at.told.length = 0
  tick(at, 5_000)
  assert.not(at.told.some(({ type }) => type === 'renew-ref'))
  const voter = record.electorate.find((id) => id !== peer(0)) as PeerId
  become(at.holders, Number(voter.slice(5)), { state: 'dead' })
  tick(at, 5_000)
  assert.equal(
    at.told.filter(({ type }) => type === 'renew-ref'),
    [{ type: 'renew-ref', owner: peer(0), name: 'mine' }]
  )
})

suiteOfRefs('bytes that prove nothing are dropped', () => {
  const at = world(3)
  const scene = { holders: at.holders, nowMs: 0, apart: false }
  const junk: RefMessage = {
    type: 'ref-take',
    token: 1,
    entry: { records: [{ record: new Uint8Array(99), receipts: [] }] }
  }
  assert.equal(onRefMessage(at.refs[0] as Refs, scene, peer(1), junk), [])
  assert.ok(refsDeadline(at.refs[0] as Refs) > 0)
})

suiteOfRefs.run()
