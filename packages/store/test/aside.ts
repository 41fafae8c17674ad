import { hash, randomBytes } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hashAside } from '../src/aside.ts'

const aside = suite('hashAside')

aside('many at once come out as they would one by one, whatever their length', async () => {
  const all = Array.from({ length: 60 }, (_, i) => randomBytes(1 + i * 17_001))
  const names = ['sha256', 'sha512'] as const
  const found = await Promise.all(all.flatMap((bytes) => names.map((name) => hashAside(name, bytes))))
  assert.equal(
    found,
    all.flatMap((bytes) => names.map((name) => hash(name, bytes)))
  )
})

aside('bytes that are longer than any block are hashed too', async () => {
  const bytes = randomBytes(3 * 1024 * 1024)
  assert.is(await hashAside('sha256', bytes), hash('sha256', bytes))
})

aside('the event loop turns while a block is hashed', async () => {
  const bytes = randomBytes(2 * 1024 * 1024)
  await hashAside('sha256', bytes) // the thread runs
  let turns = 0
  const count = (): void => {
    turns++
    turning = setImmediate(count)
  }
  let turning = setImmediate(count)
  // with one core for both threads, a hash may be over before the loop had its turn: not every time
  for (let i = 0; i < 50 && turns === 0; i++) await hashAside('sha256', bytes)
  clearImmediate(turning)
  assert.ok(turns > 0)
})

aside.run()
