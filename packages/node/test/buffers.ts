import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createBuffers } from '../src/buffers.ts'

const MIB = 1024 * 1024
const buffers = suite('buffers')

buffers('one that was given back is used again, and never by two', () => {
  const pool = createBuffers()
  const first = pool.take(MIB)
  assert.is(first.length, MIB)
  pool.give(first)
  pool.give(first)
  const second = pool.take(MIB - 5)
  assert.is(second.buffer, first.buffer)
  assert.is(second.length, MIB - 5)
  assert.is.not(pool.take(MIB).buffer, first.buffer, 'given back twice, lent once')
})

buffers('small and foreign memory is no part of it', () => {
  const pool = createBuffers()
  const small = pool.take(1_000)
  const foreign = new Uint8Array(MIB)
  pool.give(small)
  pool.give(foreign)
  assert.is(small.buffer.byteLength, 1_000)
  assert.is.not(pool.take(MIB).buffer, foreign.buffer)
})

buffers('what several look at is used again when the last of them has given it back', () => {
  const pool = createBuffers()
  const shared = pool.take(MIB)
  pool.share(shared)
  pool.give(shared)
  assert.is.not(pool.take(MIB).buffer, shared.buffer)
  pool.give(shared)
  assert.is(pool.take(MIB).buffer, shared.buffer)
  pool.share(new Uint8Array(MIB)) // not from here
})

buffers('what is kept for use is bounded', () => {
  const pool = createBuffers()
  const all = Array.from({ length: 40 }, () => pool.take(MIB))
  const known = new Set(all.map(({ buffer }) => buffer))
  for (const one of all) pool.give(one)
  const again = Array.from({ length: 40 }, () => pool.take(MIB))
  assert.is(again.filter(({ buffer }) => known.has(buffer)).length, 31)
})

buffers.run()
