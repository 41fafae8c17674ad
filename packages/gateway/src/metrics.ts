/**
 * What a node knows of itself, as the Prometheus text format has it (version 0.0.4). Each question counts
 * anew: nothing is kept between two but how late the event loop was. Labels are classes; the names of refs
 * that this node mirrors are the only free text, and of those there are `MIRRORS_MAX`.
 */
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import type { CairnNode, MirrorView, NodeStatus, PeerInfo, Verdict } from '@cairn/node'

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** Between looks at how late the event loop is, ms: less than what would disturb a probe. */
const LOOP_LOOK_MS = 20
const LOOP_QUANTILES = [0.5, 0.99, 1]
const VERDICTS: readonly Verdict[] = ['healthy', 'under-replicated', 'at-risk', 'lost']
const STATES: readonly PeerInfo['state'][] = ['alive', 'suspect', 'dead', 'leaving', 'left']

type Labels = Record<string, string | number>
type Sample = [labels: Labels, value: number]

interface Metric {
  name: string
  type: 'gauge' | 'counter'
  help: string
  samples: readonly Sample[]
}

export interface Metrics {
  /** The whole text. @throws what `status` throws */
  text(): Promise<string>
  close(): void
}

/** Until it is first asked it costs nothing. */
export function createMetrics(node: CairnNode): Metrics {
  let loop: IntervalHistogram | undefined
  return {
    async text() {
      const [status, mirrors] = await Promise.all([node.status(), node.mirrors.list()])
      const metrics = [
        gauge('cairn_build_info', 'Always 1; the version is a label.', [[{ version: node.version }, 1]]),
        ...ofDisk(status),
        ...ofNetwork(status),
        ...ofMembers(node.peers()),
        ...ofFlow(node),
        gauge('cairn_refs_carried', 'Names whose records are on this disk.', node.refs.carried()),
        ...ofMirrors(mirrors),
        ...ofProcess(loop)
      ]
      loop?.reset()
      loop ??= startedLook()
      return metrics.map(textOf).join('')
    },
    close: () => void loop?.disable()
  }
}

function startedLook(): IntervalHistogram {
  const loop = monitorEventLoopDelay({ resolution: LOOP_LOOK_MS })
  loop.enable()
  return loop
}

function ofDisk({ usage, scrub, damage }: NodeStatus): Metric[] {
  return [
    gauge('cairn_store_blocks', 'Blocks on this disk.', usage.blocks),
    gauge('cairn_store_block_bytes', 'Bytes of the blocks on this disk.', usage.bytes),
    gauge('cairn_store_disk_bytes', 'All that is on this disk: blocks, claims, index.', usage.diskBytes),
    gauge('cairn_store_capacity_bytes', 'What this node may take of the disk.', usage.capacity),
    gauge('cairn_store_full', '1 while blocks are refused for want of room.', Number(usage.full)),
    gauge('cairn_store_read_only', '1 once the disk failed a write.', Number(usage.readOnly)),
    gauge('cairn_scrub_verified_bytes', 'Read again and found good within seven days.', scrub.verified),
    gauge('cairn_scrub_bytes', 'What is to be read again within seven days.', scrub.total),
    counter('cairn_damaged_blocks_total', 'Copies found damaged on this disk, ever.', damage.found),
    counter('cairn_healed_blocks_total', 'Of those, how many were replaced, or need not be.', damage.healed)
  ]
}

/** As all living members tell it together, so the same from each of them. */
function ofNetwork(status: NodeStatus): Metric[] {
  const { verdict, wanted, byCopies, bytesByCopies, repairing, etaSeconds } = status
  const by = (counts: readonly number[]): Sample[] => counts.map((count, copies) => [{ copies }, count])
  const risk = bytesByCopies.slice(0, wanted > 1 ? 2 : 1).reduce((sum, bytes) => sum + bytes, 0)
  return [
    gauge(
      'cairn_verdict',
      'How safe all data is: 1 for what `cairn status` says, 0 for the others.',
      VERDICTS.map((one) => [{ verdict: one }, Number(one === verdict)])
    ),
    gauge('cairn_copies_wanted', 'N of the network.', wanted),
    gauge('cairn_network_blocks', 'Blocks by living copies; the last is N or more.', by(byCopies)),
    gauge('cairn_network_bytes', 'Bytes of blocks by living copies.', by(bytesByCopies)),
    gauge('cairn_network_risk_bytes', 'Bytes that one more loss would take, or that are lost.', risk),
    gauge('cairn_network_short_blocks', 'Blocks below N.', repairing.blocks),
    gauge('cairn_network_short_bytes', 'Bytes of blocks below N.', repairing.bytes),
    gauge(
      'cairn_network_safe_in_seconds',
      'Until all has N copies; absent while that cannot be said.',
      etaSeconds === undefined ? [] : etaSeconds
    )
  ]
}

function ofMembers(peers: readonly PeerInfo[]): Metric[] {
  const count = (is: (peer: PeerInfo) => boolean): number => peers.filter(is).length
  return [
    gauge(
      'cairn_members',
      'Members by state, this one among them.',
      STATES.map((state) => [{ state }, count((peer) => peer.state === state)])
    ),
    gauge(
      'cairn_members_connected',
      'Members that this one is connected to.',
      count(({ connected, self }) => connected && !self)
    ),
    gauge(
      'cairn_members_faulty',
      'Members that lied about what they hold.',
      count(({ audit }) => audit?.fault !== undefined)
    )
  ]
}

function ofFlow(node: CairnNode): Metric[] {
  const flow = node.flow()
  const { puttingBytes, receivingBytes, readingBytes, asked, repaired } = flow
  const held: Sample[] = [
    [{ way: 'putting' }, puttingBytes],
    [{ way: 'receiving' }, receivingBytes],
    [{ way: 'reading' }, readingBytes]
  ]
  const sent: Sample[] = [
    [{ way: 'pushed' }, flow.pushedBytes],
    [{ way: 'served' }, flow.servedBytes]
  ]
  const received: Sample[] = [
    [{ way: 'pushed' }, flow.receivedBytes],
    [{ way: 'fetched' }, flow.fetchedBytes]
  ]
  const reads: Sample[] = [
    [{ why: 'first' }, asked.first],
    [{ why: 'hedged' }, asked.hedged],
    [{ why: 'again' }, asked.again]
  ]
  return [
    gauge('cairn_transfers', 'Transfers of blocks that this node began and that go on.', flow.transfers),
    gauge('cairn_flow_bytes', 'Bytes of blocks in memory, on their way.', held),
    counter('cairn_sent_bytes_total', 'Blocks and their claims sent to members, since the start.', sent),
    counter('cairn_received_bytes_total', 'Blocks that came from members, since the start.', received),
    counter('cairn_read_questions_total', 'Blocks asked of members for readers, and why.', reads),
    counter('cairn_repaired_blocks_total', 'Blocks that repair brought, since the start.', repaired.blocks),
    counter('cairn_repaired_bytes_total', 'Bytes that repair brought, since the start.', repaired.bytes)
  ]
}

function ofMirrors(mirrors: readonly MirrorView[]): Metric[] {
  const by = (of: (mirror: MirrorView) => number | undefined): Sample[] =>
    mirrors.flatMap((mirror): Sample[] => {
      const value = of(mirror)
      return value === undefined ? [] : [[{ owner: mirror.owner, name: mirror.name }, value]]
    })
  return [
    gauge('cairn_mirrors', 'Names that this node mirrors.', mirrors.length),
    gauge(
      'cairn_mirror_lag_seconds',
      'Since the first update that is not here was seen; 0 with none.',
      by(({ lag }) => lag.ms / 1_000)
    ),
    gauge(
      'cairn_mirror_updates_behind',
      'Updates beyond the whole root; absent while there is none.',
      by(({ lag }) => lag.updates)
    ),
    gauge(
      'cairn_mirror_heard_seconds',
      'Since a majority of its voters told of the name; absent before.',
      by(({ lag }) => lag.heardMs && lag.heardMs / 1_000)
    )
  ]
}

/** Of the process, under the names that are usual for these. */
function ofProcess(loop: IntervalHistogram | undefined): Metric[] {
  const { user, system } = process.cpuUsage()
  const lateS = (quantile: number): number => {
    const ms = (loop as IntervalHistogram).percentile(quantile * 100) / 1e6
    return Math.max(0, ms - LOOP_LOOK_MS) / 1_000
  }
  const late: Sample[] = loop?.count ? LOOP_QUANTILES.map((quantile) => [{ quantile }, lateS(quantile)]) : []
  return [
    gauge('cairn_event_loop_delay_seconds', 'How late the event loop was since it was last asked.', late),
    counter('process_cpu_seconds_total', 'Processor time of the process.', (user + system) / 1e6),
    gauge('process_resident_memory_bytes', 'Memory of the process.', process.memoryUsage.rss()),
    gauge('process_start_time_seconds', 'When it began, since 1970.', performance.timeOrigin / 1_000)
  ]
}

function gauge(name: string, help: string, samples: number | readonly Sample[]): Metric {
  return { name, help, type: 'gauge', samples: typeof samples === 'number' ? [[{}, samples]] : samples }
}

function counter(name: string, help: string, samples: number | readonly Sample[]): Metric {
  return { ...gauge(name, help, samples), type: 'counter' }
}

function textOf({ name, type, help, samples }: Metric): string {
  if (samples.length === 0) return ''
  const lines = samples.map(([labels, value]) => `${name}${labelsText(labels)} ${value}\n`)
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

function labelsText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}="${escaped(String(value))}"`)
  return pairs.length === 0 ? '' : `{${pairs.join()}}`
}

function escaped(value: string): string {
  return value.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')
}
