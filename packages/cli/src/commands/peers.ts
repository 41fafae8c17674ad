/** `cairn peers`: the members as this node sees them. */
import type { Command } from 'commander'
import { EXIT } from '../failure.ts'
import { safe, size, table } from '../format.ts'
import { act, type Program, type Session } from '../session.ts'

export function addPeers(root: Command, program: Program): void {
  root.command('peers').summary('the members, as this node sees them').action(act(program, peers))
}

async function peers(session: Session): Promise<number> {
  const { out } = session
  const seen = await (await session.client()).peers()
  if (out.json) {
    for (const peer of seen) out.result(peer, () => '')
    return EXIT.ok
  }
  const columns = [
    { title: 'NAME' },
    { title: 'STATE' },
    { title: 'RTT', right: true },
    { title: 'CAPACITY', right: true },
    { title: 'ZONE' },
    { title: 'ID' },
    { title: 'ADDRESS' }
  ]
  const rows = seen.map((peer) => [
    safe(peer.name ?? '-'),
    peer.self ? 'this node' : peer.state,
    peer.rttMs === undefined ? '-' : `${peer.rttMs.toFixed(1)} ms`,
    size(peer.capacity),
    safe(peer.zone ?? '-'),
    peer.id,
    safe(peer.addresses[0] ?? '-')
  ])
  out.result({}, () => table(columns, rows))
  return EXIT.ok
}
