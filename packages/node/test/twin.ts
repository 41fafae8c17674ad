import type { LivingMember, Member, Message, PeerId } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { watchForTwin } from '../src/twin.ts'

const twin = suite('watchForTwin')
const SELF = 'self' as PeerId
const none = { zone: undefined, name: undefined, http: undefined, full: false, version: '0', capacity: 1 }
const own = (incarnation: number): Member => {
  return { ...none, id: SELF, incarnation, state: 'alive', addresses: ['/here'] }
}
const said = (incarnation: number, address = '/there', id = SELF): Message => {
  const member = { ...none, id, incarnation, state: 'alive', addresses: [address] } as LivingMember
  return { type: 'news', rumours: [{ type: 'facts', member }] }
}

twin('newer words of ours that are not ours, again and again, are a twin', () => {
  const watch = watchForTwin()
  for (let i = 0; i < 3; i++) assert.is(watch.hear(said(10 + 2 * i), own(9 + 2 * i), i), undefined)
  const error = watch.hear(said(16), own(15), 4)
  assert.is(error?.code, 'LOCKED')
  assert.match(error?.message ?? '', '/there')
})

twin('old words, our own words, the same words from many, and those of others, are none', () => {
  const watch = watchForTwin()
  for (let i = 0; i < 20; i++) {
    assert.is(watch.hear(said(5), own(10), i), undefined)
    assert.is(watch.hear(said(50 + i, '/here'), own(10), i), undefined)
    assert.is(watch.hear(said(50 + i, '/there', 'other' as PeerId), own(10), i), undefined)
    assert.is(watch.hear(said(20), own(10), i), undefined)
    assert.is(watch.hear({ type: 'survey', token: 1, without: [] }, own(10), i), undefined)
  }
  for (let i = 0; i < 20; i++) assert.is(watch.hear(said(100 + i), own(99 + i), 100_000 * (i + 1)), undefined)
})

twin.run()
