import { cidOf } from '@cairn/blocks'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { cidSet } from '../src/cid-set.ts'

const sets = suite('many CIDs')
const cid = (n: number) => cidOf(Buffer.from(`${n}`))

sets('what was added is there, by its number, and nothing else, also after the table grew', () => {
  const set = cidSet()
  for (let n = 0; n < 5_000; n++) {
    assert.is(set.indexOf(cid(n)), -1)
    set.add(cid(n))
    set.add(cid(n))
  }
  assert.is(set.size, 5_000)
  for (let n = 0; n < 5_000; n++) assert.is(set.indexOf(cid(n)), n)
  for (let n = 5_000; n < 6_000; n++) assert.not(set.has(cid(n)))
  assert.ok(set.has(cidOf(Buffer.from('7'), { codec: 'dag-pb' })), 'a block is its digest')
})

sets.run()
