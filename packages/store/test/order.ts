import type { BlockKey } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { orderOfCalls } from '../src/order.ts'

const order = suite('orderOfCalls')

const [a, b, c] = ['1220aa', '1220bb', '1220cc'] as BlockKey[] as [BlockKey, BlockKey, BlockKey]

interface Recorded {
  done: string[]
  call(name: string, keys: BlockKey[], ready?: Promise<void>): Promise<string>
}

function recorded(): Recorded {
  const done: string[] = []
  const calls = orderOfCalls()
  return {
    done,
    call: (name, keys, ready) =>
      calls.run(keys, ready, async () => {
        done.push(name)
        return name
      })
  }
}

order('with nothing to wait for, a call is submitted at once', () => {
  const { done, call } = recorded()
  void call('first', [a])
  void call('second', [a, b])
  assert.equal(done, ['first', 'second'])
})

order('calls on one key keep their order, others pass', async () => {
  const { done, call } = recorded()
  const [slow, slower] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const calls = [
    call('put a', [a], slower.promise),
    call('delete a and b', [a, b]),
    call('put b', [b], slow.promise),
    call('put c', [c])
  ]
  assert.equal(done, ['put c'])
  slow.resolve()
  await slow.promise
  assert.equal(done, ['put c'])
  slower.resolve()
  assert.equal(await Promise.all(calls), ['put a', 'delete a and b', 'put b', 'put c'])
  assert.equal(done, ['put c', 'put a', 'delete a and b', 'put b'])
  await call('later', [a, b])
  assert.is(done.at(-1), 'later', 'nothing is left behind')
})

order('one that fails submits nothing, and lets the next go on only after those before it', async () => {
  const { done, call } = recorded()
  const slow = Promise.withResolvers<void>()
  const first = call('first', [a], slow.promise)
  const wrong = call('wrong', [a], Promise.reject(new Error('not what it says')))
  const next = call('next', [a])
  assert.is(await Promise.race([next, new Promise((resolve) => setImmediate(resolve, 'waits'))]), 'waits')
  slow.resolve()
  assert.match((await wrong.catch((cause) => cause)).message, 'not what it says')
  await Promise.all([first, next])
  assert.equal(done, ['first', 'next'])
})

order.run()
