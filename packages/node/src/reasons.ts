/** Why the data is as safe as it is, in one plain sentence: what is being done, or what it waits for. */
import { brakedFor, type Member, members, type PeerId, takersIn } from '@cairn/core'
import type { Verdict } from './api.ts'
import type { Shell } from './shell.ts'

export interface Told {
  verdict: Verdict
  wanted: number
  /** Blocks below N. */
  short: number
  silent: readonly PeerId[]
}

export function reasonOf(shell: Shell, { verdict, wanted, short, silent }: Told): string {
  const placed = membersPlaced(shell)
  const quiet = silent.length === 0 ? '' : `; no answer from ${silent.map(shell.nameOf).join(', ')}`
  if (placed.length < wanted) {
    return `${placed.length} of ${wanted} members: ${short} blocks wait for a member to join${quiet}`
  }
  if (verdict === 'healthy') return `every block has ${wanted} copies${zonesText(placed, wanted)}${quiet}`
  const able = takersIn(shell.core.holders).length
  if (able < wanted) {
    const full = placed.length - able
    return `${short} blocks wait for room: ${full} of ${placed.length} members are full${quiet}`
  }
  const braked = brakedFor(shell.core)
  if (braked !== undefined) return `${brakeText(braked, short, wanted)}${quiet}`
  const gone = members(shell.core.membership).filter(({ state }) => state === 'dead')
  const why = gone.length === 0 ? '' : ` since ${gone.map(({ id }) => shell.nameOf(id)).join(', ')} died`
  return `${short} blocks have fewer than ${wanted} copies${why}; their holders are fetching them${quiet}`
}

/** What would be, if the copies of some members were lost. */
export function supposedReason(
  lost: readonly string[],
  { byCopies, wanted }: { byCopies: readonly number[]; wanted: number }
): string {
  const below = byCopies.slice(1, wanted).reduce((sum, blocks) => sum + blocks, 0)
  const none = byCopies[0] ?? 0
  const who = lost.length === 0 ? 'nobody' : lost.join(', ')
  return `without ${who}: ${none} blocks would have no copy left, ${below} fewer than ${wanted}`
}

function membersPlaced({ core }: Shell): Member[] {
  return members(core.membership).filter(({ id }) => core.holders.standing.get(id)?.living)
}

/** With fewer zones than copies, the loss of one zone takes several copies of a block. */
function zonesText(placed: readonly Member[], wanted: number): string {
  const zones = new Set(placed.map(({ zone, id }) => zone ?? id))
  return zones.size >= wanted ? '' : `, in ${zones.size === 1 ? 'one zone' : `${zones.size} zones`} only`
}

function brakeText(braked: { members: number; ms: number }, short: number, wanted: number): string {
  return (
    `${short} blocks have fewer than ${wanted} copies. ${braked.members} members with over a third of ` +
    'the capacity vanished together, as in a partition: if they stay away, all is repaired in ' +
    `${Math.ceil(braked.ms / 60_000)} min; until then, what is down to one copy`
  )
}
