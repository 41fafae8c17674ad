/**
 * Collects young garbage by the bytes that sockets brought, on Node. What a socket is read into is memory
 * outside of V8's heap, garbage as soon as it was copied; V8 counts it towards a full collection and seldom
 * looks for it before: 20 full ones for 256 MiB uploaded, of 100 ms of processor each, and 50 MB more in
 * memory. A young one takes half a millisecond. The browser's half is young.web.ts.
 */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Between two collections. With 16 MiB a full one comes as often; with 8, half as often. */
const BETWEEN_BYTES = 4 * 1024 * 1024

type Collect = (options: { type: 'minor' }) => void

let collect: Collect | undefined
let bytes = 0

/** So many bytes came in memory of their own, and are used up or will be soon. */
export function noteGarbage(length: number): void {
  bytes += length
  if (bytes < BETWEEN_BYTES) return
  bytes = 0
  collect ??= collector()
  collect({ type: 'minor' })
}

/** Objects that survive a collection: enough of them, and V8 makes the young generation larger. */
const SURVIVORS = 16_384
const ROUNDS_MAX = 64

/**
 * Makes the young generation so large, once and for good; call it before other modules are loaded. It begins
 * at 1 MiB, where work on many small blocks is collected every few milliseconds, thousands of times; and
 * loading modules makes it 16 MiB, where buffers of blocks live longer: 30 MB more for a node. From then on
 * the event loop collects it alone: other threads may wait long for a core, and it would wait for them.
 */
export function setYoung(semiSpaceBytes: number): void {
  collect ??= collector()
  setFlagsFromString('--semi-space-growth-factor=2')
  let survivors: object[] = []
  for (let round = 0; round < ROUNDS_MAX && semiSpace() < semiSpaceBytes; round++) {
    survivors = Array.from({ length: SURVIVORS }, (_, i) => ({ i, kept: survivors.length }))
    collect({ type: 'minor' })
  }
  setFlagsFromString('--semi-space-growth-factor=1')
  setFlagsFromString('--no-parallel-scavenge')
}

/** V8 counts both of its halves. */
function semiSpace(): number {
  const space = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')
  return (space?.space_size ?? Number.POSITIVE_INFINITY) / 2
}

/** V8's own `gc`, which is there for those who ask for it. */
function collector(): Collect {
  setFlagsFromString('--expose-gc')
  const gc: unknown = runInNewContext('gc')
  return typeof gc === 'function' ? (gc as Collect) : () => {}
}
