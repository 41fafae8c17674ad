/** `cairn cluster`: several real nodes on this machine, to try things with. */
import { type Command, Option } from 'commander'
import {
  addNode,
  CLUSTER_NODES_MAX,
  type ClusterNode,
  type ClusterOptions,
  killNode,
  noCluster,
  runningNodes,
  startCluster,
  stopCluster,
  targetsOf
} from '../cluster.ts'
import { EXIT } from '../failure.ts'
import { duration, plural, safe, table } from '../format.ts'
import { parseCount, parseDuration, parsePort } from '../parse.ts'
import { until } from '../processes.ts'
import { act, clientOf, type Program, type Session, setting } from '../session.ts'
import { replicasOption } from './start.ts'

const NODES_DEFAULT = 5

export function addCluster(root: Command, program: Program): void {
  const cluster = root
    .command('cluster')
    .summary('several real nodes on this machine: start, stop, kill, add, status')
    .description(
      'Several real nodes on this machine, one process and one directory each, under HOME/cluster.'
    )
    .helpCommand(false)
  addClusterStart(cluster, program)
  cluster
    .command('stop')
    .summary('stop all nodes cleanly')
    .option('--wipe', 'and delete everything they hold')
    .action(act(program, stop))
  cluster
    .command('kill')
    .summary('end node K as a crash would (SIGKILL)')
    .argument('<K>', 'which: 1, 2, …')
    .action(act(program, kill))
  cluster.command('add').summary('one more node, which joins by the invite').action(act(program, add))
  cluster.command('status').summary('which nodes run, and where').action(act(program, status))
}

function addClusterStart(cluster: Command, program: Program): void {
  cluster
    .command('start')
    .summary('start N nodes (5), in the foreground unless -d')
    .argument('[N]', 'how many', String(NODES_DEFAULT))
    .option('-d, --detach', 'return once they run; they go on until `cairn cluster stop`')
    .addOption(replicasOption())
    .addOption(
      new Option('--port <PORT>', 'HTTP port of the first (7401)').argParser((text) => parsePort(text))
    )
    .addOption(
      new Option('--repair-delay <TIME>', 'before a block that lacks one copy is repaired (15s)').argParser(
        (text) => parseDuration(text)
      )
    )
    .action(act(program, start))
}

interface StartOptions {
  detach?: boolean
  port?: number
}

async function start(session: Session, command: Command): Promise<number> {
  const { out, home, signal } = session
  const n = parseCount(command.processedArgs[0], 'a number of nodes', { least: 1, most: CLUSTER_NODES_MAX })
  const { detach, port } = command.opts<StartOptions>()
  const startedMs = performance.now()
  let ready = 0
  const nodes = await startCluster(n, {
    ...clusterOptions(session, command),
    ...(port === undefined ? {} : { port }),
    ...(detach === true ? {} : { whilePid: process.pid }),
    onReady: () => out.live.show(() => `starting ${++ready}/${n} nodes`)
  })
  await reportStart(session, nodes, { tookMs: performance.now() - startedMs, detached: detach === true })
  if (detach === true) return EXIT.ok
  await untilStopped(home, signal)
  out.note('stopping the cluster')
  await stopCluster(home)
  out.note('stopped; the data stays: cairn cluster start returns to it, cairn cluster stop --wipe deletes it')
  return EXIT.ok
}

function clusterOptions(session: Session, command: Command): ClusterOptions {
  const replicas = setting(session, command, 'replicas')
  const repairDelayMs = setting(session, command, 'repairDelay')
  return {
    home: session.home,
    signal: session.signal,
    ...(replicas === undefined ? {} : { replicas }),
    ...(repairDelayMs === undefined ? {} : { repairDelayMs })
  }
}

/** Until Ctrl-C, or until another command has stopped every node. */
async function untilStopped(home: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const over = await until(
      async () => (signal.aborted || (await runningNodes(home)).length === 0 ? true : undefined),
      { limitMs: 1_000 }
    )
    if (over === true) return
  }
}

async function reportStart(
  { out, home }: Session,
  nodes: readonly ClusterNode[],
  { tookMs, detached }: { tookMs: number; detached: boolean }
): Promise<void> {
  const { network } = await (await clientOf(targetsOf(nodes))).node()
  const value = { event: 'ready', home, network, tookMs: Math.round(tookMs), nodes: nodes.map(withoutToken) }
  out.result(value, () =>
    table([{ title: 'NODE' }, { title: 'NAME' }, { title: 'INTERFACE' }], nodes.map(row))
  )
  const ready = `${plural(nodes.length, 'node')}, replication ${network.replicas}, data in ${home}/cluster`
  const stop = detached ? 'cairn cluster stop' : 'Ctrl-C, or cairn cluster stop'
  out.note(`${out.prose('green', '✓')} ${ready}    ready in ${duration(tookMs)}`)
  out.note(`  Try: echo hi | cairn put -      Kill one: cairn cluster kill 2      Stop: ${stop}`)
}

function withoutToken({ token: _token, ...node }: ClusterNode): Omit<ClusterNode, 'token'> {
  return node
}

const row = ({ k, name, url }: ClusterNode): string[] => [`n${k}`, safe(name), url]

async function stop({ out, home }: Session, command: Command): Promise<number> {
  const { wipe } = command.opts<{ wipe?: boolean }>()
  const { nodes, killed } = await stopCluster(home, { wipe: wipe === true })
  for (const k of killed)
    out.warn(`node ${k} did not stop in time and was killed; nothing acknowledged is lost`)
  out.result({ stopped: nodes, killed, wiped: wipe === true }, () =>
    nodes === 0 ? 'no cluster was running' : `stopped ${plural(nodes, 'node')}`
  )
  if (wipe === true) out.note('and deleted what they held')
  return EXIT.ok
}

async function kill({ out, home }: Session, command: Command): Promise<number> {
  const [text] = command.processedArgs as [string]
  const k = parseCount(text.replace(/^n/, ''), 'a node of the cluster', { least: 1, most: 10_000 })
  const { name, pid } = await killNode(home, k)
  out.result({ killed: k, name, pid }, () => `killed n${k} ${safe(name)} (process ${pid})`)
  out.note('Watch it heal: cairn status')
  return EXIT.ok
}

async function add(session: Session, command: Command): Promise<number> {
  const node = await addNode(clusterOptions(session, command))
  session.out.result({ event: 'ready', ...withoutToken(node) }, () => `added ${row(node).join('  ')}`)
  return EXIT.ok
}

async function status({ out, home }: Session): Promise<number> {
  const nodes = await runningNodes(home)
  if (nodes.length === 0) throw noCluster(home)
  out.result({ nodes: nodes.map(withoutToken) }, () =>
    table(
      [{ title: 'NODE' }, { title: 'NAME' }, { title: 'INTERFACE' }, { title: 'PROCESS', right: true }],
      nodes.map((node) => [...row(node), String(node.pid)])
    )
  )
  return EXIT.ok
}
