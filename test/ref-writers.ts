/**
 * Three devices with one key update one name by way of real nodes, all at once, while a node is killed and
 * comes back. What each was told is checked: no sequence twice, nothing acknowledged is lost, nobody who
 * asks for the latest is told less than was acknowledged before the question.
 */
// limit: 180 s
// beside others
import { type Client, newSeed, type Ref, refKey } from '@cairn/client'
import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { clientOf, kill, met, type Node, withNodes } from './support/nodes.ts'

/** Of each device, and as many reads: `CAIRN_UPDATES=1700` is 10,200 of both, all nodes killed in turn. */
const UPDATES_IN_CI = 12
const UPDATES = Number(process.env.CAIRN_UPDATES ?? UPDATES_IN_CI)
/** What an update or a read may end with under faults: it happened, or not, and is tried again. */
const UNDECIDED: readonly CairnError['code'][] = [
  ...(['TOO_FEW_REPLICAS', 'REF_CONFLICT', 'UNREACHABLE', 'TIMEOUT', 'BUSY', 'NOT_FOUND'] as const),
  'BAD_MESSAGE' // a node that has just started knows too few members to bear out what another drafted
]

interface Told {
  kind: 'set' | 'read'
  startedMs: number
  endedMs: number
  sequence: number
  hash: string
}

async function attempt(told: Told[], kind: Told['kind'], work: () => Promise<Ref>): Promise<boolean> {
  const startedMs = performance.now()
  try {
    const { sequence, hash } = await work()
    told.push({ kind, startedMs, endedMs: performance.now(), sequence, hash })
    return true
  } catch (error) {
    if (!CairnError.is(error) || !UNDECIDED.includes(error.code)) throw error
    return false
  }
}

async function write(client: Client, mark: string, cid: string, told: Told[]): Promise<void> {
  for (let i = 0; i < UPDATES; i++) {
    await attempt(told, 'set', () => {
      return client.refs.set('site', cid, { metadata: { by: `${mark} ${i}` }, settle: i % 2 === 0 })
    })
    await attempt(told, 'read', () => client.refs.get('site', { latest: true }))
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

const writers = suite('writers of one name')

writers('the checker finds what is wrong', () => {
  const one = { kind: 'set' as const, startedMs: 0, endedMs: 1, sequence: 2, hash: 'a' }
  assert.equal(wrongs([one, { ...one, kind: 'read', startedMs: 2, endedMs: 3 }]), [])
  assert.is(wrongs([one, { ...one, hash: 'b' }]).length, 2)
  assert.is(wrongs([one, { ...one, kind: 'read', startedMs: 2, endedMs: 3, sequence: 1 }]).length, 1)
})

writers(
  'no acknowledged update is lost or reordered while a node is killed and comes back',
  withNodes(async ({ network, restart }) => {
    const nodes = await network(4, { flags: ['--repair-delay', '1s'] })
    await met(nodes)
    const key = await refKey(newSeed())
    const [a, b, c, d] = nodes as [Node, Node, Node, Node]
    const clients = [clientOf([a, b], { key }), clientOf([b, c], { key }), clientOf([c, a], { key })]
    const cid = `${(await clientOf([a]).put('what the name points to')).cid}`
    const told: Told[] = []
    let kills = 0
    let over = false
    const racing = Promise.all(clients.map((client, i) => write(client, `device ${i}`, cid, told)))
    const racingOver = racing.finally(() => {
      over = true
    })
    racingOver.catch(() => {}) // awaited below
    const running = [d, a, b, c]
    for (; kills === 0 || (UPDATES > UPDATES_IN_CI && !over); kills++) {
      const at = kills % running.length
      await kill([running[at] as Node])
      running[at] = await restart(running[at] as Node)
      if (UPDATES > UPDATES_IN_CI) await met(running)
    }
    await racingOver
    assert.equal(wrongs(told), [])
    const sets = told.filter(({ kind }) => kind === 'set')
    console.log(
      `${sets.length} of ${3 * UPDATES} acknowledged, ${told.length - sets.length} reads; ${kills} kills`
    )
    assert.ok(sets.length > UPDATES, `${sets.length} acknowledged`)
    const most = Math.max(...sets.map(({ sequence }) => sequence))
    const last = await clientOf([a], { key }).refs.set('site', cid, { settle: true })
    assert.ok(last.sequence > most, `${last.sequence} after ${most}`)
  })
)

writers.run()
