import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { gathered, together } from '../src/gather.ts'

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

gather('each who asked gets the answer to his own, from one piece of work', async () => {
  const asked: number[][] = []
  const double = together<number, number>(
    async (all) => {
      asked.push(all)
      return all.map((one) => 2 * one)
    },
    { most: 100, soon: queueMicrotask }
  )
  assert.equal(await Promise.all([3, 1, 3].map(double)), [6, 2, 6])
  assert.equal(asked, [[3, 1, 3]])
})

gather('work that fails fails for all who asked, and for nobody after', async () => {
  const work = async (all: number[]): Promise<number[]> => {
    if (all.includes(0)) throw new Error('no zero')
    return all
  }
  const ask = together(work, { most: 100, soon: queueMicrotask })
  const answers = await Promise.allSettled([1, 0].map(ask))
  assert.equal(
    answers.map(({ status }) => status),
    ['rejected', 'rejected']
  )
  assert.is(await ask(1), 1)
})

gather.run()
