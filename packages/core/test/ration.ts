import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DATA_LIMITS as LIMITS } from '../src/limits.ts'
import { createRation, noteServed, paceOut, windowFor } from '../src/ration.ts'

const ration = suite('ration')

ration('with nobody served, and of last copies, repair takes its whole window', () => {
  const one = createRation()
  assert.is(windowFor(one, 2, 0), LIMITS.repairWindowBytes)
  noteServed(one, 0)
  assert.is(windowFor(one, 1, 1), LIMITS.repairWindowBytes)
  assert.is(windowFor(one, 2, 1), LIMITS.busyWindowBytes)
  assert.is(windowFor(one, 2, 3_000), LIMITS.repairWindowBytes, 'they are gone')
})

ration('after a piece it rests twice as long with two copies left, longer with more, and never long', () => {
  for (const [copies, tookMs, restMs] of [
    [2, 40, 80],
    [3, 40, 120],
    [2, 60_000, 1_000]
  ] as const) {
    const one = createRation()
    noteServed(one, 0)
    one.copies = copies
    paceOut(one, true, 10)
    for (let atMs = 10; atMs < 10 + tookMs; atMs += 10) {
      noteServed(one, atMs)
      paceOut(one, true, atMs)
    }
    paceOut(one, false, 10 + tookMs)
    const endMs = 10 + tookMs + restMs
    noteServed(one, endMs - 1)
    assert.is(windowFor(one, copies, endMs - 1), 0, `${copies} copies, ${tookMs} ms`)
    assert.is(windowFor(one, copies, endMs), LIMITS.busyWindowBytes)
    assert.is(windowFor(one, 1, endMs - 1), LIMITS.repairWindowBytes, 'a last copy waits for nothing')
  }
})

ration('what was begun at full speed asks for no rest as long as itself', () => {
  const one = createRation()
  one.copies = 2
  paceOut(one, true, 0)
  noteServed(one, 900)
  paceOut(one, false, 910)
  assert.is(one.restUntilMs, 930)
  paceOut(one, false, 950)
  assert.is(one.restUntilMs, 930, 'and what rests already does not rest longer')
})

ration.run()
