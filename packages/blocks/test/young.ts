import { constants, PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics } from 'node:v8'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { noteGarbage, setYoung } from '../src/index.ts'
import { noteGarbage as noteOnWeb } from '../src/young.web.ts'

const MIB = 1024 * 1024
const young = suite('young')

/** Young collections that were asked for while `act` ran. */
async function forcedBy(act: () => void): Promise<number> {
  let forced = 0
  const observer = new PerformanceObserver((list) => {
    for (const { detail } of list.getEntries() as { detail?: { kind: number; flags: number } }[]) {
      const isYoung = detail?.kind === constants.NODE_PERFORMANCE_GC_MINOR
      if (isYoung && detail.flags === constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) forced++
    }
  })
  observer.observe({ entryTypes: ['gc'] })
  act()
  await new Promise((resolve) => setImmediate(resolve)) // when entries are told
  await new Promise((resolve) => setImmediate(resolve))
  observer.disconnect()
  return forced
}

young('a young collection comes for every 4 MiB, however small the pieces', async () => {
  noteGarbage(4 * MIB) // V8 may make a full one of the first, after all that was loaded
  const forced = await forcedBy(() => {
    for (let i = 0; i < 128; i++) noteGarbage(MIB / 16)
  })
  assert.is(forced, 2)
})

young('the young generation is made as large as it is to be, and stays so whatever survives', () => {
  const size = () => getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size
  setYoung(8 * MIB)
  const made = size() ?? 0
  assert.ok(made >= 2 * 8 * MIB, `${made} bytes`) // both halves
  const kept: object[] = []
  for (let i = 0; i < 1_000_000; i++) kept.push({ i })
  assert.is(size(), made)
})

young('a browser is left to itself', async () => {
  assert.is(await forcedBy(() => noteOnWeb(100 * MIB)), 0)
})

young.run()
