import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { budget } from '../src/budget.ts'

const tick = () => new Promise((resolve) => setImmediate(resolve))

const budgets = suite('budget')

budgets('first come, first served, even when a later one would fit', async () => {
  const credit = budget(10)
  const order: string[] = []
  await credit.take(8)
  const big = credit.take(5).then(() => order.push('big'))
  const small = credit.take(1).then(() => order.push('small'))
  await tick()
  assert.equal(order, [])
  credit.give(8)
  await Promise.all([big, small])
  assert.equal(order, ['big', 'small'])
  assert.is(credit.free, 4)
})

budgets('one that waits can leave, and those behind it move up', async () => {
  const credit = budget(10)
  await credit.take(10)
  const quit = new AbortController()
  const first = credit.take(10, quit.signal).catch((cause) => cause)
  const second = credit.take(2)
  quit.abort('enough')
  assert.is(await first, 'enough')
  credit.give(2)
  await second
  assert.is(credit.free, 0)
  assert.is(await credit.take(1, AbortSignal.abort('before')).catch((cause) => cause), 'before')
})

budgets('more than there is gets all of it, and gives no more back', async () => {
  const credit = budget(10)
  await credit.take(25)
  assert.is(credit.free, 0)
  credit.give(25)
  assert.is(credit.free, 10)
})

budgets.run()
