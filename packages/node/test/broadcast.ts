import { getEventListeners } from 'node:events'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { broadcast, WAITING_MAX } from '../src/broadcast.ts'

const events = suite('broadcast')
const numbers = () => broadcast<number>((count) => -count)

async function all(source: AsyncIterable<number>): Promise<number[]> {
  const seen: number[] = []
  for await (const one of source) seen.push(one)
  return seen
}

events('a listener hears what comes after it began, whether it reads or not, until the end', async () => {
  const source = numbers()
  source.emit(1)
  const early = source.listen()
  source.emit(2)
  const late = source.listen()
  source.emit(3)
  source.end()
  assert.equal(await all(early), [2, 3])
  assert.equal(await all(late), [3])
  assert.equal(await all(source.listen()), [], 'after the end there is nothing to hear')
  assert.is(source.listeners(), 0)
})

events('the slow lose the oldest, and are told how many', async () => {
  const source = numbers()
  const slow = source.listen()
  for (let i = 0; i < WAITING_MAX + 5; i++) source.emit(i)
  source.end()
  const seen = await all(slow)
  assert.equal(seen.slice(0, 2), [-5, 5])
  assert.is(seen.length, WAITING_MAX + 1)
})

events(
  'whoever goes leaves nothing behind: by its signal, by a break, or without ever having read',
  async () => {
    const source = numbers()
    const abort = new AbortController()
    const waiting = all(source.listen(abort.signal))
    source.listen(abort.signal)
    const unread = source.listen()
    const broken = source.listen()
    source.emit(1)
    for await (const one of broken) if (one === 1) break
    assert.is(source.listeners(), 3)
    await unread.return?.()
    abort.abort()
    assert.equal(await waiting, [1])
    assert.is(source.listeners(), 0)
    assert.is(getEventListeners(abort.signal, 'abort').length, 0)
    assert.equal(await all(source.listen(abort.signal)), [], 'an old signal is an end')
  }
)

events.run()
