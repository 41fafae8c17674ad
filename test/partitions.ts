/**
 * Five nodes on five machines, and a network between them that fails in every way: cut in two, one way, by
 * way of one, on and off; slow, lossy; a process that is stopped. Whatever was acknowledged meanwhile is
 * there afterwards, and a minute after the last fault all is on three again. `CAIRN_ROUNDS=200` for more,
 * drawn from `CAIRN_SEED`.
 */
// limit: 300 s
import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { pick, type Random, seeded } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { eventually } from './support/eventually.ts'
import { type Hub, hub } from './support/hub.ts'
import { WHY_NO_SPACES } from './support/netns.ts'
import { cairn, lastJson, MEET_MS, type Node, signal, type World, withNodes } from './support/nodes.ts'

const NODES = 5
/** Issue 5: converged so soon after the last fault. */
const HEAL_MS = 60_000
/** Long enough for a silent member to be found dead, by some at least. */
const FAULT_MS = 9_000
const FILE_BYTES = 20_000
/** A put on the wrong side of a cut waits for stand-ins, then for nobody. */
const PUT_TIMEOUT = '40s'

type Fault = 'halves' | 'one-way' | 'bridge' | 'flapping' | 'slow' | 'lossy' | 'stopped'
const ALL: readonly Fault[] = ['halves', 'one-way', 'bridge', 'flapping', 'slow', 'lossy', 'stopped']
/** Those of a short run: what leaves two sides that both go on, and what makes a member silent. */
const SHORT: readonly Fault[] = ['halves', 'flapping']

interface Scene {
  hub: Hub
  nodes: readonly Node[]
  random: Random
}

interface Acked {
  cid: string
  text: string
  by: number
}

const between = (here: readonly number[], there: readonly number[]) =>
  here.flatMap((from) => there.map((to) => ({ from, to })))

/** Begins a fault; returns what ends it. */
function begin(fault: Fault, { hub: net, nodes, random }: Scene): () => Promise<void> {
  const order = [...nodes.keys()].sort(() => random() - 0.5)
  const [a = 0, b = 1] = order
  const [few, rest] = [order.slice(0, 2), order.slice(2)]
  const whole = async (): Promise<void> => net.drop([])
  switch (fault) {
    case 'halves':
      net.drop([...between(few, rest), ...between(rest, few)])
      return whole
    case 'one-way':
      net.drop(between([a], order.slice(1)))
      return whole
    case 'bridge':
      net.drop([...between(few, order.slice(3)), ...between(order.slice(3), few)])
      return whole
    case 'flapping': {
      let over = false
      const flap = async (): Promise<void> => {
        for (let on = true; !over; on = !on) {
          net.drop(on ? [...between([a, b], rest), ...between(rest, [a, b])] : [])
          await wait(1_000)
        }
      }
      const flapping = flap()
      return async () => {
        over = true
        await flapping
        net.drop([])
      }
    }
    case 'slow':
      net.slow(a, 256)
      return async () => net.slow(a, undefined)
    case 'lossy':
      net.drop(
        [...between([a], order.slice(1)), ...between(order.slice(1), [a])].map((rule) => ({
          ...rule,
          percent: 30
        }))
      )
      return whole
    case 'stopped':
      signal([nodes[a] as Node], 'SIGSTOP')
      return async () => signal([nodes[a] as Node], 'SIGCONT')
  }
}

const inHome = (scene: Scene, by: number) => {
  const { home } = scene.nodes[by] as Node
  return { netns: scene.hub.machines[by]?.name as string, env: { CAIRN_HOME: home } }
}

/** A file through one node; undefined when nobody acknowledged it. */
async function put(scene: Scene, by: number): Promise<Acked | undefined> {
  const text = randomBytes(FILE_BYTES / 2).toString('hex')
  const args = ['put', '-', '--json', '--timeout', PUT_TIMEOUT]
  const done = await cairn(args, { ...inHome(scene, by), stdin: text })
  if (done.exit !== 0 && done.exit !== 6) return undefined
  const { cid, replicas } = lastJson(done.stdout) as { cid: string; replicas: number }
  assert.ok(replicas >= 1)
  return { cid, text, by }
}

async function statusOf(scene: Scene, by: number) {
  const { stdout } = await cairn(['status', '--json'], inHome(scene, by))
  return lastJson(stdout) as { verdict: string; alive: number; byCopies: number[]; reason: string }
}

async function converged(scene: Scene, limitMs: number): Promise<void> {
  await eventually('all five know each other, and all is on three', limitMs, async (tell) => {
    for (const by of scene.nodes.keys()) {
      const { alive, verdict, reason } = await statusOf(scene, by)
      tell(`${by} sees ${alive} alive, ${verdict}: ${reason}`)
      if (alive !== NODES || verdict !== 'healthy') return undefined
      if (reason.includes('no answer from')) return undefined
    }
    return true
  })
}

async function meet(world: World, net: Hub): Promise<Node[]> {
  const flags = (i: number) => ['--listen', `${net.machines[i]?.address}:0`, '--repair-delay', '2s']
  const at = (i: number) => ({ netns: net.machines[i]?.name as string, flags: flags(i) })
  const first = await world.start('n0', at(0))
  const env = { CAIRN_HOME: first.home }
  const invite = await cairn(['invite', '--json'], { netns: net.machines[0]?.name as string, env })
  const { invite: join } = lastJson(invite.stdout) as { invite: string }
  const others = Array.from({ length: NODES - 1 }, (_, i) => world.start(`n${i + 1}`, { ...at(i + 1), join }))
  return [first, ...(await Promise.all(others))]
}

async function rounds(scene: Scene, faults: readonly Fault[]): Promise<void> {
  const acked: Acked[] = []
  for (const fault of faults) {
    const end = begin(fault, scene)
    const until = wait(FAULT_MS)
    const by = [pick(scene.random, NODES), pick(scene.random, NODES)]
    const puts = Promise.all(by.map((node) => put(scene, node)))
    await until
    await end()
    acked.push(...(await puts).filter((one) => one !== undefined))
  }
  const healedMs = performance.now()
  await converged(scene, HEAL_MS)
  const tookS = ((performance.now() - healedMs) / 1_000).toFixed(1)
  await Promise.all(
    acked.map(async ({ cid, text, by }) => {
      const { stdout, exit } = await cairn(['cat', cid, '--json'], inHome(scene, (by + 1) % NODES))
      assert.is(exit, 0, `${cid} was acknowledged`)
      assert.ok(stdout === text, `${cid} is what was put`)
    })
  )
  console.log(
    `${faults.join(', ')}: ${acked.length} puts acknowledged, all there; all on three after ${tookS} s`
  )
}

const partitions = suite('partitions')

partitions(
  'whatever the network does, what was acknowledged is there, and a minute later on three',
  withNodes(async (world) => {
    if (WHY_NO_SPACES !== undefined) return console.log(`SKIPPED: ${WHY_NO_SPACES}`)
    await hub(NODES, async (net) => {
      const nodes = await meet(world, net)
      const random = seeded(Number(process.env.CAIRN_SEED ?? 1))
      const scene: Scene = { hub: net, nodes, random }
      await converged(scene, MEET_MS)
      const count = Number(process.env.CAIRN_ROUNDS ?? 0)
      if (count === 0) return rounds(scene, SHORT)
      for (let i = 0; i < count; i++) {
        await rounds(scene, [ALL[pick(random, ALL.length)] as Fault, ALL[pick(random, ALL.length)] as Fault])
      }
    })
  })
)

partitions.run()
