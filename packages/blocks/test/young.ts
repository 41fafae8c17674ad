import { constants, PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics } from 'node:v8'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { noteGarbage, setYoung } from '../src/index.ts'
import { noteGarbage as noteOnWeb } from '../src/young.web.ts'

const MIB = 1024 * 1024
const young = suite('young')

/** Collections that were asked for while `act` ran. */
async function forcedBy(act: () => void): Promise<number[]> {
  const kinds: number[] = []
  const observer = new PerformanceObserver((list) => {
    for (const { detail } of list.getEntries() as { detail?: { kind: number; flags: number } }[]) {
      if (detail?.flags === constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) kinds.push(detail.kind)
    }
  })
  observer.observe({ entryTypes: ['gc'] })
  act()
  await new Promise((resolve) => setImmediate(resolve)) // when entries are told
  await new Promise((resolve) => setImmediate(resolve))
  observer.disconnect()
  return kinds
}

young('a young collection comes for every 4 MiB, however small the pieces', async () => {
  const kinds = await forcedBy(() => {
    for (let i = 0; i < 128; i++) noteGarbage(MIB / 16)
  })
  assert.equal(kinds, [constants.NODE_PERFORMANCE_GC_MINOR, constants.NODE_PERFORMANCE_GC_MINOR])
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
  assert.equal(await forcedBy(() => noteOnWeb(100 * MIB)), [])
})

young.run()
