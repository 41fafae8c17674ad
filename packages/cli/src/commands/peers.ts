/** `cairn peers`: the members as this node sees them. */
import type { AuditState, PeerInfo } from '@cairn/client'
import type { Command } from 'commander'
import { EXIT } from '../failure.ts'
import { safe, size, table } from '../format.ts'
import { act, type Program, type Session } from '../session.ts'
import { faultText } from '../tell.ts'

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
    { title: 'PROVED', right: true },
    { title: 'ID' },
    { title: 'ADDRESS' }
  ]
  const rows = seen.map((peer) => [
    safe(peer.name ?? '-'),
    peer.self ? 'this node' : peer.state,
    peer.rttMs === undefined ? '-' : `${peer.rttMs.toFixed(1)} ms`,
    size(peer.capacity),
    safe(peer.zone ?? '-'),
    provedText(peer.audit),
    peer.id,
    safe(peer.addresses[0] ?? '-')
  ])
  out.result({}, () => [table(columns, rows), ...seen.flatMap(faultOf)].join('\n'))
  return EXIT.ok
}

/** Ranges that it proved, of those that it was asked for, in the audits of this node. */
function provedText(audit: AuditState | undefined): string {
  if (audit === undefined) return '-'
  const { proven, absent, wrong } = audit
  return `${proven}/${proven + absent + wrong}`
}

function faultOf({ name, id, audit }: PeerInfo): string[] {
  if (audit?.fault === undefined) return []
  const { kind, cid } = audit.fault
  return [`! ${safe(name ?? id)} ${faultText(kind)} ${cid}: its copies are not counted, others hold them too`]
}
