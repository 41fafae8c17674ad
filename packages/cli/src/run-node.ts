/**
 * A node in this process, until it is told to stop: what `start` and `join` share. The node and its HTTP
 * interface come up, `running.json` tells other commands where they are, and every way to the end (a
 * signal, `stop`, `leave`, the death of the process it was started for) takes the same clean stop.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { setYoung } from '@cairn/blocks'
import { CairnError } from '@cairn/core'
import type { CairnNode } from '@cairn/node'
import { EXIT } from './failure.ts'
import { count, duration, safe } from './format.ts'
import { isAlive, readRunning, removeRunning, writeRunning } from './home.ts'
import type { Output } from './output.ts'
import { tellEvents } from './tell.ts'

export interface NodePlan {
  home: string
  create?: { open: boolean; replicas?: number }
  /** An invite or a multiaddr. */
  join?: string
  mdns?: boolean
  listen?: string[]
  /** For blocks between members, beside the port of `listen`. */
  bulkPort?: number
  capacity?: number
  zone?: string
  name?: string
  repairDelayMs?: number
  /** Of the HTTP interface; any free one when the usual is taken and none was asked for. */
  port?: number
  /** Its address, loopback unless told; and whether whoever reaches it may read without the token. */
  host?: string
  freeReads?: boolean
  /** Stop when that process is gone. */
  whilePid?: number
}

/** Where the HTTP interface is unless told; nothing registered uses it. */
export const HTTP_PORT = 7401
/** Between looks whether the process is still there that this node was started for. */
const PARENT_CHECK_MS = 500
/**
 * Of the young generation, half of it. With 1 MiB a node that takes 10,000 small files collects 2,500 times
 * and spends half as much processor again; with the 16 that V8 would make it, buffers of blocks stay longer.
 */
const YOUNG_BYTES = 4 * 1024 * 1024
/** A clean stop syncs and closes a disk; one that takes longer is stuck, and a killed node loses nothing. */
const STOP_LIMIT_MS = 15_000

/** Between a node's end and the word that it was wanted. */
const ASKED_LATEST_MS = 1_000

export interface RunOptions {
  out: Output
  signal: AbortSignal
}

/** Runs until the signal, `cairn stop`, `cairn leave` or the parent's end; resolves to the exit code. */
export async function runNode(plan: NodePlan, { out, signal }: RunOptions): Promise<number> {
  await refuseSecond(plan.home)
  const startedMs = performance.now()
  setYoung(YOUNG_BYTES)
  const [{ createNode, putLoopFirst }, { serveNode }] = await Promise.all([
    import('@cairn/node'),
    import('@cairn/gateway')
  ])
  const node = await createNode(nodeOptions(plan))
  putLoopFirst()
  const ended = Promise.withResolvers<string>()
  try {
    const served = await servePlanned(node, plan, serveNode, () => ended.resolve('asked to stop'))
    try {
      node.announceHttp(served.url)
      await writeRunning(plan.home, { pid: process.pid, url: served.url, addresses: node.addresses() })
      report(node, { url: served.url, startedMs, out })
      const own = tellEvents(node.events(), out)
      const why = await untilEnd({ asked: ended.promise, own, plan, signal })
      out.note(`stopping: ${why}`)
    } finally {
      await removeRunning(plan.home)
      await withinLimit(served.close())
    }
  } finally {
    await withinLimit(node.stop())
  }
  out.note('stopped')
  return EXIT.ok
}

async function refuseSecond(home: string): Promise<void> {
  const running = await readRunning(home)
  if (running === undefined) return
  throw new CairnError('LOCKED', `a node already runs in ${home} (process ${running.pid})`, {
    hint: 'cairn status · cairn stop · another home: --home DIR'
  })
}

type NodeOptions = Parameters<typeof import('@cairn/node').createNode>[0]

function nodeOptions(plan: NodePlan): NodeOptions {
  const { port: _p, host: _h, freeReads: _f, whilePid: _w, repairDelayMs, ...options } = plan
  return repairDelayMs === undefined ? options : { ...options, config: { repairDelayMs } }
}

type Serve = typeof import('@cairn/gateway').serveNode
type Served = Awaited<ReturnType<Serve>>

async function servePlanned(
  node: CairnNode,
  plan: NodePlan,
  serve: Serve,
  onStop: () => void
): Promise<Served> {
  const { port, host, freeReads } = plan
  const options = {
    ...(host === undefined ? {} : { host }),
    ...(freeReads === undefined ? {} : { freeReads }),
    onStop
  }
  try {
    return await serve(node, { ...options, port: port ?? HTTP_PORT })
  } catch (error) {
    if (port !== undefined || !CairnError.is(error, 'PORT_IN_USE')) throw error
    return await serve(node, { ...options, port: 0 })
  }
}

interface Ends {
  asked: Promise<string>
  /** Settles when the node has ended, with what it complained of last. */
  own: Promise<string | undefined>
  plan: NodePlan
  signal: AbortSignal
}

/** Why the node is to end. @throws CairnError INTERNAL when it ended by itself */
async function untilEnd({ asked, own, plan, signal }: Ends): Promise<string> {
  const over = new AbortController()
  const signalled = new Promise<string>((resolve) => {
    if (signal.aborted) resolve('signalled')
    signal.addEventListener('abort', () => resolve('signalled'), { once: true })
  })
  const failed = own.then(async (complaint) => {
    await wait(ASKED_LATEST_MS) // one that leaves ends first and is asked to stop right after
    throw new CairnError('INTERNAL', `the node ended by itself: ${complaint ?? 'it did not say why'}`, {
      hint: 'nothing acknowledged is lost: start it again'
    })
  })
  failed.catch(() => {}) // at a clean stop the race is long over
  try {
    return await Promise.race([asked, signalled, failed, untilOrphan(plan.whilePid, over.signal)])
  } finally {
    over.abort()
  }
}

async function untilOrphan(pid: number | undefined, signal: AbortSignal): Promise<string> {
  if (pid === undefined) return new Promise(() => {})
  while (isAlive(pid)) {
    // ref: false, so that the watch alone keeps nothing alive
    await wait(PARENT_CHECK_MS, undefined, { signal, ref: false }).catch(() => {})
    if (signal.aborted) return 'over'
  }
  return 'the process it was started for has ended'
}

async function withinLimit(stopping: Promise<void>): Promise<void> {
  const over = new AbortController()
  const late = wait(STOP_LIMIT_MS, 'late' as const, { signal: over.signal }).catch(() => undefined)
  const first = await Promise.race([stopping, late])
  over.abort()
  if (first === 'late') {
    throw new CairnError('TIMEOUT', `the node did not stop within ${duration(STOP_LIMIT_MS)}`, {
      hint: 'nothing acknowledged is lost: start it again'
    })
  }
}

function report(
  node: CairnNode,
  { url, startedMs, out }: { url: string; startedMs: number; out: Output }
): void {
  const { network } = node
  const took = performance.now() - startedMs
  const name = out.prose('bold', safe(node.name))
  const kind = network.open ? 'open: anybody with an address may join' : 'private: joined with an invite only'
  const { id, notes } = node
  const value = { event: 'ready', id, name: node.name, url, network, addresses: node.addresses(), notes }
  if (out.json) {
    out.result(value, () => '')
    return
  }
  out.note(
    [
      `${out.prose('green', '✓')} ${name} is up    ready in ${duration(took)}`,
      `  network    ${network.id.slice(0, 8)}… (${kind}), ${count(network.replicas)} replicas of each block`,
      `  data       ${node.home}`,
      `  interface  ${url}`,
      ...node.addresses().map((address) => `  listening  ${address}`),
      ...node.notes.map((said) => `  note       ${safe(said)}`),
      ...(network.open
        ? ['  An open network has no ageing and no quotas yet: keep strangers out of it for now.']
        : []),
      '  Try: echo hi | cairn put -      Another machine: cairn invite      Stop: Ctrl-C, or cairn stop'
    ].join('\n')
  )
}
