import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { endingOf, withinLimit } from '../src/ending.ts'

const ending = suite('endingOf')

ending('closes the last first, once, and all of them although one fails', async () => {
  const order: number[] = []
  const end = endingOf()
  for (const i of [1, 2, 3]) {
    end.add(async () => {
      order.push(i)
      if (i === 2) throw new Error('it would not close')
    })
  }
  assert.not.ok(end.begun())
  const ends = [end.end(), end.end()]
  assert.ok(end.begun())
  assert.is(ends[0], ends[1])
  const failed = await end.end().catch(String)
  assert.is(failed, 'Error: it would not close')
  await Promise.allSettled(ends)
  assert.equal(order, [3, 2, 1])
  assert.equal(await end.closed, { error: undefined })
})

ending('one that ends by an error tells the first', async () => {
  const end = endingOf()
  const first = new CairnError('INTERNAL', 'a bug')
  end.fail(first)
  end.fail(new CairnError('INTERNAL', 'what came of it'))
  assert.equal(await end.closed, { error: first })
})

ending('waits for what may hang, but not for ever', async () => {
  let done = false
  await withinLimit(
    Promise.resolve().then(() => {
      done = true
    })
  )
  assert.ok(done)
  await withinLimit(new Promise(() => undefined), 10)
})

ending.run()
