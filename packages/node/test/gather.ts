import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { gathered } from '../src/gather.ts'

const gather = suite('gathered')

/** Work that waits until it is told to run. */
function waiting(most = 100) {
  const runs: (() => void)[] = []
  const done: number[][] = []
  const add = gathered<number>((all) => void done.push(all), { most, soon: (run) => void runs.push(run) })
  return { add, done, runs, run: () => runs.shift()?.() }
}

gather('what comes before its time is done together, in order, once', () => {
  const { add, done, runs, run } = waiting()
  for (const i of [1, 2, 3]) add(i)
  assert.is(runs.length, 1)
  run()
  assert.equal(done, [[1, 2, 3]])
  add(4)
  run()
  assert.equal(done, [[1, 2, 3], [4]])
})

gather('so many do not wait for more, and nothing is done twice or left', () => {
  const { add, done, run } = waiting(3)
  for (let i = 1; i <= 7; i++) add(i)
  assert.equal(done, [
    [1, 2, 3],
    [4, 5, 6]
  ])
  for (let i = 0; i < 3; i++) run()
  assert.equal(done.flat(), [1, 2, 3, 4, 5, 6, 7])
})

gather.run()
