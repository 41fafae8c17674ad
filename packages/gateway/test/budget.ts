import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createBudget } from '../src/budget.ts'

const budget = suite('createBudget')

/** Takes, and notes when it is served. */
function taker(total: number) {
  const { take } = createBudget(total)
  const served: string[] = []
  return {
    served,
    take(name: string, amount: number, signal?: AbortSignal): Promise<() => void> {
      const taken = take(amount, signal)
      taken.then(
        () => served.push(name),
        () => served.push(`${name} aborted`)
      )
      return taken
    }
  }
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

budget('what is there is given at once, the rest in the order asked', async () => {
  const { take, served } = taker(10)
  const giveA = await take('a', 6)
  const b = take('b', 5)
  take('c', 1) // there is room for it, but it came after b
  await settle()
  assert.equal(served, ['a'])
  giveA()
  giveA() // no second time, or c's would be given twice
  await settle()
  assert.equal(served, ['a', 'b', 'c'])
  take('d', 5)
  await settle()
  assert.equal(served, ['a', 'b', 'c'])
  const giveB = await b
  giveB()
  await settle()
  assert.equal(served, ['a', 'b', 'c', 'd'])
})

budget('more than there is waits for all there is, not for ever', async () => {
  const { take, served } = taker(10)
  const give = await take('a', 1)
  take('all', 1_000)
  await settle()
  assert.equal(served, ['a'])
  give()
  await settle()
  assert.equal(served, ['a', 'all'])
})

budget('who is aborted while waiting is out of the way of the next', async () => {
  const { take, served } = taker(10)
  const stop = new AbortController()
  await take('a', 6)
  take('b', 9, stop.signal)
  take('c', 4)
  await settle()
  assert.equal(served, ['a'])
  stop.abort(new Error('gone'))
  await settle()
  assert.equal(served.toSorted(), ['a', 'b aborted', 'c'])
})

budget.run()
