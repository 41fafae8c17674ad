/**
 * What placement costs and how evenly it loads: nanoseconds a score, a full pass over all slots, a join
 * and a leave after it, the fullest member's load over the mean. Run it with
 * `node --conditions=cairn-src scripts/bench/placement.ts [members ...]`.
 */

import { createPlacement, type PeerId, type PlacedMember, SLOTS, WEIGHT_MAX } from '@cairn/core'

const COPIES = 3
const DEPTH = 8
/** As many joins and leaves as give a steady mean. */
const CHANGES = 5

function member(i: number, zones: number): PlacedMember {
  const id = `12D3KooWBench${i.toString(36).padStart(39, 'Z')}` as PeerId
  return { id, weight: 4096, zone: zones === 0 ? undefined : `zone-${i % zones}` }
}

function timed(run: () => void): number {
  const from = performance.now()
  run()
  return performance.now() - from
}

function measure(members: number, zones: number): void {
  const placement = createPlacement({ depth: DEPTH })
  for (let i = 0; i < members; i++) placement.add(member(i, zones))
  const load = new Map<PeerId, number>()
  const fullMs = timed(() => {
    for (let slot = 0; slot < SLOTS; slot++) {
      for (const id of placement.order(slot, COPIES)) load.set(id, (load.get(id) ?? 0) + 1)
    }
  })
  const warmMs = timed(() => {
    for (let slot = 0; slot < SLOTS; slot++) placement.order(slot, COPIES)
  })
  const joinMs = timed(() => {
    for (let i = 0; i < CHANGES; i++) placement.add(member(members + i, zones))
  })
  const leaveMs = timed(() => {
    for (let i = 0; i < CHANGES; i++) placement.remove(member(i, zones).id)
  })
  const afterMs = timed(() => {
    for (let slot = 0; slot < SLOTS; slot++) placement.order(slot, COPIES)
  })
  const fullest = Math.max(...load.values()) / ((SLOTS * COPIES) / members)
  console.log(
    [
      `${members} members, ${zones} zones:`,
      `${((fullMs * 1e6) / (members * SLOTS)).toFixed(1)} ns/score,`,
      `all slots ${fullMs.toFixed(0)} ms, again ${warmMs.toFixed(0)} ms,`,
      `join ${(joinMs / CHANGES).toFixed(1)} ms, leave ${(leaveMs / CHANGES).toFixed(1)} ms,`,
      `all slots after ${CHANGES} of each ${afterMs.toFixed(0)} ms, fullest ${fullest.toFixed(3)}x the mean`
    ].join(' ')
  )
}

/** One member far above the rest: what the quantised cost does at the ends of the weights. */
function extremes(): void {
  const placement = createPlacement({ depth: DEPTH })
  const others = 1000
  for (let i = 0; i < others; i++) placement.add({ ...member(i, 0), weight: WEIGHT_MAX / 1024 })
  const big = { ...member(others, 0), weight: WEIGHT_MAX }
  placement.add(big)
  let first = 0
  for (let slot = 0; slot < SLOTS; slot++) if (placement.order(slot, 1)[0] === big.id) first++
  const share = 1024 / (1024 + others)
  console.log(`one of 256 TiB among ${others} of 256 GiB: ${(first / SLOTS / share).toFixed(4)} of its share`)
}

const sizes = process.argv.slice(2).map(Number)
for (const members of sizes.length === 0 ? [20, 1_000, 10_000] : sizes) {
  measure(members, 0)
  measure(members, Math.ceil(members / 4))
}
extremes()
