import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { courtesy } from '../src/courtesy.ts'

const ways = suite('courtesy')

ways('a repair waits until the last reader is served', async () => {
  const one = courtesy()
  await one.giveWay()
  const [first, second] = [one.reading(), one.reading()]
  const order: string[] = []
  const waiting = one.giveWay().then(() => order.push('repair'))
  first()
  first()
  await Promise.resolve()
  order.push('reader')
  second()
  await waiting
  assert.equal(order, ['reader', 'repair'])
})

ways('but not for ever', async () => {
  const one = courtesy()
  one.reading()
  await one.giveWay()
})

ways.run()
