/**
 * Three devices with one key update one name by way of real nodes, all at once, while a node is killed and
 * comes back; in a long run nodes are stopped, emptied and given another time, too. What each was told is
 * checked: no sequence twice, nothing acknowledged is lost, each follows the one before, nobody who asks for
 * the latest is told less than was acknowledged before the question.
 */
// limit: 180 s
// beside others
import { hash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type Client, newSeed, type Ref, refKey } from '@cairn/client'
import { CairnError, readRef } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeClock, fakeClock } from './support/faketime.ts'
import { clientOf, healed, kill, met, type Node, signal, type World, withNodes } from './support/nodes.ts'

/** Of each device and name, and as many reads: `CAIRN_UPDATES=220` is 10,560 in all, under faults in turn. */
const UPDATES_IN_CI = 12
const UPDATES = Number(process.env.CAIRN_UPDATES ?? UPDATES_IN_CI)
const IS_LONG = UPDATES > UPDATES_IN_CI
/** Each is updated by three devices; while one waits for a node that is stopped, so do all others. */
const NAMES = Array.from({ length: IS_LONG ? 8 : 1 }, (_, i) => `site-${i}`)
/** What an update or a read may end with under faults: it happened, or not, and is tried again. */
const UNDECIDED: readonly CairnError['code'][] = [
  ...(['TOO_FEW_REPLICAS', 'REF_CONFLICT', 'UNREACHABLE', 'TIMEOUT', 'BUSY', 'NOT_FOUND'] as const)
]

const NODES = 4
/** A disk that was emptied has all of its blocks again so soon. */
const HEAL_MS = 60_000
/** Between two faults. */
const REST_MS = 4_000

interface Told {
  name: string
  kind: 'set' | 'read'
  startedMs: number
  endedMs: number
  sequence: number
  hash: string
  /** Hashes of what it follows, as its owner signed. */
  after: readonly string[]
}

/** The client has looked at the signatures. */
const READ = { sha256: (bytes: Uint8Array) => hash('sha256', bytes, 'buffer'), verify: () => true }

/** What all devices were told, and how often each way of not being told anything. */
interface Account {
  network: string
  told: Told[]
  undecided: Map<string, number>
}

async function attempt(account: Account, kind: Told['kind'], work: () => Promise<Ref>): Promise<void> {
  const startedMs = performance.now()
  try {
    const { name, sequence, hash, record } = await work()
    const after = readRef(record, account.network, READ).predecessors
    account.told.push({ name, kind, startedMs, endedMs: performance.now(), sequence, hash, after })
  } catch (error) {
    if (!CairnError.is(error) || !UNDECIDED.includes(error.code)) throw error
    const what = `${kind} ${error.code}`
    account.undecided.set(what, (account.undecided.get(what) ?? 0) + 1)
  }
}

interface Writing {
  client: Client
  name: string
  mark: string
  cid: string
}

async function write({ client, name, mark, cid }: Writing, account: Account): Promise<void> {
  for (let i = 0; i < UPDATES; i++) {
    await attempt(account, 'set', () => {
      return client.refs.set(name, cid, { metadata: { by: `${mark} ${i}` }, settle: i % 2 === 0 })
    })
    await attempt(account, 'read', () => client.refs.get(name, { latest: true }))
  }
}

/** What is wrong with the history; empty when nothing is. */
function wrongs(told: readonly Told[]): string[] {
  const found: string[] = []
  const hashes = new Map<number, string>()
  for (const { sequence, hash } of told) {
    const known = hashes.get(sequence)
    if (known !== undefined && known !== hash) found.push(`two records are ${sequence}`)
    hashes.set(sequence, hash)
  }
  for (const { sequence, hash, after } of told) {
    const before = hashes.get(sequence - 1)
    if (before !== undefined && !after.includes(before)) found.push(`${sequence} (${hash}) forks`)
  }
  for (const later of told) {
    for (const earlier of told) {
      if (earlier.endedMs >= later.startedMs || earlier.sequence <= later.sequence) continue
      found.push(`a ${later.kind} of ${later.sequence} after a ${earlier.kind} of ${earlier.sequence}`)
    }
  }
  const sets = told.filter(({ kind }) => kind === 'set').map(({ sequence }) => sequence)
  if (new Set(sets).size !== sets.length) found.push('a sequence was acknowledged twice')
  return found
}

/** What a long run does to its nodes, one after another, each to each. */
type Fault = (at: Site, n: number) => Promise<void>

interface Site {
  nodes: Node[]
  clocks: FakeClock[]
  world: World
}

const nodeAt = ({ nodes }: Site, n: number) => nodes[n % nodes.length] as Node
const STOP_MS = 3_000
/** Back in the same home, and known to the others again. */
async function again(site: Site, n: number): Promise<void> {
  site.nodes[n % site.nodes.length] = await site.world.restart(nodeAt(site, n))
}
const stop: (more: number) => Fault = (more) => async (site, n) => {
  const all = Array.from({ length: 1 + more }, (_, i) => nodeAt(site, n + i))
  signal(all, 'SIGSTOP')
  await wait(STOP_MS)
  signal(all, 'SIGCONT')
}

const FAULTS: Record<string, Fault> = {
  async killed(site, n) {
    await kill([nodeAt(site, n)])
    await again(site, n)
  },
  stopped: stop(0),
  async 'two killed'(site, n) {
    await kill([nodeAt(site, n), nodeAt(site, n + 1)])
    await Promise.all([again(site, n), again(site, n + 1)])
  },
  'two stopped': stop(1),
  /** Blocks and votes are gone; the key is not. */
  async emptied(site, n) {
    const node = nodeAt(site, n)
    await kill([node])
    for (const part of ['refs', 'store']) await rm(join(node.home, part), { recursive: true, force: true })
    await again(site, n)
    await met(site.nodes)
    await healed(site.nodes, HEAL_MS)
  },
  async 'clock set'({ clocks }, n) {
    await clocks[n % clocks.length]?.set(((7 * n) % 97) - 48)
  }
}

async function startTimed(world: World, flags: readonly string[]): Promise<Site> {
  const site: Site = { nodes: [], clocks: [], world }
  let join: string | undefined
  for (let i = 1; i <= NODES; i++) {
    const clock = await fakeClock(world.folder, `n${i}`, 0)
    if (clock !== undefined) site.clocks.push(clock)
    const node = await world.start(`n${i}`, {
      flags,
      ...(join === undefined ? {} : { join }),
      ...(clock === undefined ? {} : { before: clock.before })
    })
    site.nodes.push(node)
    join ??= await clientOf([node]).invite()
  }
  await met(site.nodes)
  return site
}

/** Each fault to each node in turn, with a time of rest after each. */
async function harass(
  site: Site,
  { told, undecided }: Account,
  isOver: () => boolean
): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  const all = Object.entries(FAULTS)
  for (let i = 0; !isOver(); i++) {
    const [name, fault] = all[i % all.length] as [string, Fault]
    const lost = [...undecided.values()].reduce((sum, n) => sum + n, 0)
    console.error(`${told.length + lost} operations, ${told.length} decided; now: ${name}`)
    await fault(site, Math.floor(i / all.length))
    counts.set(name, (counts.get(name) ?? 0) + 1)
    await met(site.nodes)
    await wait(REST_MS)
  }
  return counts
}

/** All that was told of a name is one line, which goes on from where it was. */
async function isOneLine(client: Client, name: string, { told, cid }: { told: Told[]; cid: string }) {
  const own = told.filter((one) => one.name === name)
  assert.equal(wrongs(own), [], name)
  const most = Math.max(0, ...own.map(({ sequence }) => sequence))
  const last = await client.refs.set(name, cid, { settle: true })
  assert.ok(last.sequence > most, `${name}: ${last.sequence} after ${most}`)
  assert.equal((await client.refs.get(name, { latest: true })).forks, [])
}

const say = (counts: ReadonlyMap<string, number>): string =>
  [...counts].map(([what, n]) => `${n} ${what}`).join(', ')

const writers = suite('writers of one name')

writers('the checker finds what is wrong', () => {
  const one = {
    name: 'x',
    kind: 'set' as const,
    startedMs: 0,
    endedMs: 1,
    sequence: 2,
    hash: 'a',
    after: ['z']
  }
  assert.equal(wrongs([one, { ...one, kind: 'read', startedMs: 2, endedMs: 3 }]), [])
  assert.is(wrongs([one, { ...one, hash: 'b' }]).length, 2)
  const old = { ...one, kind: 'read' as const, sequence: 1, hash: 'z' }
  assert.is(wrongs([one, { ...old, startedMs: 2, endedMs: 3 }]).length, 1)
  assert.equal(wrongs([one, old]), [])
  const next = { ...one, startedMs: 2, endedMs: 3, sequence: 3, hash: 'c' }
  assert.equal(wrongs([one, { ...next, after: ['a'] }]), [])
  assert.is(wrongs([one, { ...next, after: ['b'] }]).length, 1)
})

writers(
  'no acknowledged update is lost or reordered while a node is killed and comes back',
  withNodes(async (world) => {
    const flags = ['--repair-delay', '1s']
    const site = IS_LONG
      ? await startTimed(world, flags)
      : { nodes: await world.network(NODES, { flags }), clocks: [], world }
    const key = await refKey(newSeed())
    const [a, b, c] = site.nodes as [Node, Node, Node]
    const clients = [clientOf([a, b], { key }), clientOf([b, c], { key }), clientOf([c, a], { key })]
    const cid = `${(await clientOf([a]).put('what the name points to')).cid}`
    const { network } = await clientOf([a]).node()
    const account: Account = { network: network.id, told: [], undecided: new Map() }
    let over = false
    const racing = Promise.all(
      NAMES.flatMap((name) =>
        clients.map((client, i) => write({ client, name, mark: `device ${i}`, cid }, account))
      )
    )
    const racingOver = racing.finally(() => {
      over = true
    })
    racingOver.catch(() => {}) // awaited below
    if (IS_LONG) console.log(`faults: ${say(await harass(site, account, () => over))}`)
    else await FAULTS.killed?.(site, NODES - 1)
    await racingOver
    const { told, undecided } = account
    const sets = told.filter(({ kind }) => kind === 'set')
    const asked = 3 * NAMES.length * UPDATES
    const reads = told.length - sets.length
    const counts = `${sets.length} of ${asked} updates acknowledged, ${reads} of ${asked} reads`
    console.log([counts, ...(undecided.size === 0 ? [] : [say(undecided)])].join('; '))
    assert.ok(sets.length > 0)
    for (const name of NAMES) await isOneLine(clientOf([a], { key }), name, { told, cid })
  })
)

writers.run()
