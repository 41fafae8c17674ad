import { configure, type PeerId } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { confirm, confirmationsWanted, suspect, suspicionTimeoutMs } from '../src/suspicion.ts'

const config = configure({ suspicionMinMs: 2_000, suspicionMaxFactor: 5, confirmations: 3 })
const peer = (name: string) => name as PeerId

const suspicion = suite('suspicion')

suspicion('asks for as many confirmations as half of the others can give, up to three', () => {
  const wanted = [2, 3, 4, 5, 6, 7, 1_000].map((members) => confirmationsWanted(members, config))
  assert.equal(wanted, [0, 1, 1, 2, 2, 3, 3])
})

suspicion('waits longest with one accuser and shortest once confirmed', () => {
  for (const members of [3, 5, 9, 100, 10_000]) {
    const min = 2_000 * Math.max(1, Math.log10(members))
    let before = Number.POSITIVE_INFINITY
    for (let c = 0; c <= confirmationsWanted(members, config); c++) {
      const wait = suspicionTimeoutMs(c, members, config)
      assert.ok(wait < before, `${c} confirmations among ${members}`)
      before = wait
    }
    assert.is(suspicionTimeoutMs(0, members, config), 5 * min)
    assert.is(before, min)
  }
})

suspicion('waits longest of two members: nobody else could confirm', () => {
  assert.is(suspicionTimeoutMs(0, 2, config), 10_000)
})

suspicion('counts each accuser once and only shortens the wait', () => {
  const running = suspect(4, peer('a'), 7, { nowMs: 1_000, config })
  assert.is(running.dueMs, 11_000)
  assert.is(confirm(running, peer('a'), 7, config), false)
  assert.is(running.dueMs, 11_000)
  assert.is(confirm(running, peer('b'), 7, config), true)
  assert.is(running.dueMs, 7_000)
  assert.is(confirm(running, peer('c'), 7, config), true)
  assert.is(confirm(running, peer('d'), 7, config), true)
  assert.is(running.dueMs, 3_000)
  assert.is(confirm(running, peer('e'), 7, config), false)
  assert.equal(running.accusers, ['a', 'b', 'c', 'd'])
})

suspicion.run()
