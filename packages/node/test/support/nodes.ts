/** Whole nodes in this process, on loopback, with homes that go away with the test. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Block, cidOf, keyOf } from '@cairn/blocks'
import { type BlockStat, openStore } from '@cairn/store'
import type { CairnNode, NodeEvent } from '../../src/api.ts'
import type { NodeOptions } from '../../src/config.ts'
import { createNodeWith, type Ways } from '../../src/node.ts'
import { until } from './peers.ts'

/** Seconds become fractions of one; still above what a loaded machine takes to answer. */
export const FAST = {
  ...{ probeIntervalMs: 500, probeTimeoutMs: 200, suspicionMinMs: 1_200, suspicionMaxFactor: 2 },
  ...{ repairDelayMs: 500, settleMs: 300, compareIntervalMs: 50, compareChangedMs: 200, compareIdleMs: 500 },
  ...{ joinRetryMs: 200, keepIntervalMs: 500, standInAfterMs: 1_000 }
}
const CAPACITY_BYTES = 512 * 1024 * 1024
const UPLOAD = 'ab'.repeat(16)

export interface Nodes extends AsyncDisposable {
  readonly nodes: CairnNode[]
  /** Node i. */
  at(i: number): CairnNode
  home(i: number): string
  /** Joins through the first node, or makes the network; waits for nothing. */
  add(options?: Partial<NodeOptions>): Promise<CairnNode>
  /** Joins one that does otherwise than it should. */
  addLiar(ways: Ways, options?: Partial<NodeOptions>): Promise<CairnNode>
  /** Starts node i again, in the same home. */
  restart(i: number, options?: Partial<NodeOptions>): Promise<CairnNode>
  /** Until all that run see each other. */
  gathered(): Promise<void>
  stopAll(): Promise<void>
}

/** @param first the first node's options; all others have its `config` */
export async function openNodes(count: number, first: Partial<NodeOptions> = {}): Promise<Nodes> {
  const directory = await mkdtemp(join(tmpdir(), 'cairn-nodes-'))
  const nodes: CairnNode[] = []
  const running = new Set<CairnNode>()
  const home = (i: number) => join(directory, `n${i}`)
  const at = (i: number) => nodes[i] as CairnNode
  const start = async (i: number, options: Partial<NodeOptions>, ways: Ways = {}): Promise<CairnNode> => {
    const { config, ...rest } = options
    const node = await createNodeWith(
      {
        home: home(i),
        capacity: CAPACITY_BYTES,
        config: { ...FAST, ...config },
        ...rest
      },
      ways
    )
    nodes[i] = node
    running.add(node)
    void node.closed.then(() => running.delete(node))
    return node
  }
  const stopAll = async () => void (await Promise.all([...running].map((node) => node.stop())))
  const opened: Nodes = {
    nodes,
    at,
    home,
    stopAll,
    add: (options = {}) => {
      const member = [...running][0]
      return start(nodes.length, member === undefined ? options : { join: member.invite(), ...options })
    },
    addLiar: (ways, options = {}) => start(nodes.length, { join: at(0).invite(), ...options }, ways),
    restart: (i, options = {}) => start(i, options),
    async gathered() {
      const sees = (node: CairnNode) => node.peers().filter(({ state }) => state === 'alive').length
      await until(() => [...running].every((node) => sees(node) === running.size), 'all see all')
    },
    async [Symbol.asyncDispose]() {
      await stopAll()
      await rm(directory, { recursive: true, force: true })
    }
  }
  try {
    await opened.add({ create: { open: false, replicas: 3 }, ...first })
    const { config = {} } = first
    for (let i = 1; i < count; i++) await opened.add({ config })
    await opened.gathered()
  } catch (cause) {
    await opened[Symbol.asyncDispose]()
    throw cause
  }
  return opened
}

export function blocksOf(count: number, bytes = 10_000): Block[] {
  return Array.from({ length: count }, () => {
    const content = new Uint8Array(randomBytes(bytes))
    return { cid: cidOf(content), bytes: content }
  })
}

/** Copies on all disks, of all blocks. */
export async function copiesIn({ nodes }: Nodes): Promise<number> {
  const usages = await Promise.all(nodes.map(async (node) => (await node.status()).usage.blocks))
  return usages.reduce((sum, blocks) => sum + blocks, 0)
}

export const sameBytes = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0
export const uploadOn = (node: CairnNode) => node.upload(UPLOAD)

/** Of a stopped node: what its disk says of a block. */
export async function onDisk(home: string, blocks: readonly Block[]): Promise<(BlockStat | undefined)[]> {
  const store = await openStore({ directory: join(home, 'store'), capacity: CAPACITY_BYTES })
  try {
    const stats: (BlockStat | undefined)[] = []
    for (const { cid, bytes } of blocks) {
      const stat = await store.stat(keyOf(cid))
      const held = await store.get(keyOf(cid))
      const good = held !== undefined && sameBytes(held, bytes)
      stats.push(good ? stat : undefined)
    }
    return stats
  } finally {
    await store.close()
  }
}

/** All that a node tells, from now on. */
export function eventsOf(node: CairnNode): NodeEvent[] {
  const told: NodeEvent[] = []
  void (async () => {
    for await (const event of node.events()) told.push(event)
  })()
  return told
}

/** Asks again until it holds. */
export async function eventually(
  holds: () => Promise<boolean>,
  what: string | (() => string),
  limitMs = 60_000
): Promise<void> {
  const endMs = Date.now() + limitMs
  while (!(await holds())) {
    if (Date.now() > endMs) {
      throw new Error(`not within ${limitMs / 1_000} s: ${typeof what === 'string' ? what : what()}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
