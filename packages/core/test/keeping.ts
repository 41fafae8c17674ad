import { claimSequence, keptRoots, type RefBody, type RefRecord, toClaim, toEnd, toHex } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { record } from './support/refs.ts'

const keeping = suite('what a ref keeps')
const root = (n: number) => Uint8Array.of(n)
const hex = (roots: readonly Uint8Array[]) => roots.map(toHex).join(' ')
const past = (...roots: (number | undefined)[]) =>
  roots.map((n, i) => ({ sequence: 100 - i, root: n === undefined ? undefined : root(n) }))
const of = (now: number | undefined, keep: number, ...before: (number | undefined)[]): RefRecord =>
  record([], { root: now === undefined ? undefined : root(now), keep, history: past(...before) })

keeping('the root, and the last K that were other ones; nothing past a removal, nothing once removed', () => {
  assert.is(hex(keptRoots(of(9, 1, 8, 7))), '09 08')
  assert.is(hex(keptRoots(of(9, 0, 8, 7))), '09')
  assert.is(hex(keptRoots(of(9, 2, 9, 8, 8, 7, 6))), '09 08 07')
  assert.is(hex(keptRoots(of(9, 3, 8, undefined, 7))), '09 08')
  assert.is(hex(keptRoots(of(undefined, 3, 8, 7))), '')
})

keeping(
  'an end leaves out what is kept, and includes the root itself once it has expired or is removed',
  () => {
    const ends = (one: RefRecord, expired = false) => hex(toEnd(one, expired).roots)
    assert.is(ends(of(9, 1, 8, 7, 6)), '07 06')
    assert.is(ends(of(9, 1, 8, 9, 7, 8)), '07')
    assert.is(ends(of(9, 1, 8, 7), true), '09 08 07')
    assert.is(ends(of(undefined, 1, 8, 7)), '08 07')
    assert.is(hex(toEnd(of(9, 1, 8), true).kept), '')
  }
)

keeping('what is claimed already counts only after the one record that it follows', () => {
  const first = record([], { root: root(1) })
  const follow = (more: Partial<RefBody>) => record([first], { root: root(2), history: past(1), ...more })
  const claimed = (next: RefRecord, before: RefRecord | undefined) => hex(toClaim(next, before).claimed)
  assert.is(claimed(follow({}), first), '01')
  assert.is(hex(toClaim(follow({}), first).roots), '02 01')
  assert.is(claimed(follow({}), undefined), '')
  assert.is(claimed(follow({}), follow({})), '', 'another than it follows')
  assert.is(claimed(follow({ replicas: 5 }), first), '', 'another N is other claims')
  assert.is(claimed(follow({ epoch: 1 }), first), '', 'a recovery')
  const lapsing = record([], { root: root(1), lifetimeMs: 5 })
  assert.is(claimed(record([lapsing], { root: root(2) }), lapsing), '', 'they may have lapsed')
  const settled = record([first, record([], { root: root(5) })], { root: root(2) })
  assert.is(claimed(settled, first), '', 'of what rivals took over nothing is known')
})

keeping('claims of a later epoch outrank all of an earlier one', () => {
  assert.is(claimSequence({ epoch: 0, sequence: 7 }), 7)
  assert.ok(claimSequence({ epoch: 1, sequence: 1 }) > claimSequence({ epoch: 0, sequence: 2 ** 31 }))
})

keeping.run()
