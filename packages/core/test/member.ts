import {
  CairnError,
  checkFacts,
  type Facts,
  leftStatement,
  type MemberState,
  type PeerId,
  supersedes
} from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const facts: Facts = {
  addresses: ['/ip4/127.0.0.1/tcp/4001'],
  capacity: 2 ** 40,
  zone: 'attic',
  name: 'Übung',
  full: false,
  http: undefined,
  version: '0.1.0'
}

const member = suite('member')

member('a newer incarnation wins, and within one the worse news', () => {
  const worse: MemberState[] = ['alive', 'suspect', 'leaving', 'dead', 'left']
  for (const [i, next] of worse.entries()) {
    assert.ok(supersedes({ incarnation: 0, state: next }, undefined))
    for (const [j, known] of worse.entries()) {
      const standing = { incarnation: 7, state: known }
      assert.is(supersedes({ incarnation: 8, state: next }, standing), true)
      assert.is(supersedes({ incarnation: 6, state: next }, standing), false)
      assert.is(supersedes({ incarnation: 7, state: next }, standing), i > j, `${next} over ${known}`)
    }
  }
})

member('says only what others will take', () => {
  assert.equal(checkFacts({ ...facts, id: 'more' } as Facts), facts)
  const bad: Partial<Facts>[] = [
    { addresses: Array.from({ length: 9 }, () => '/ip4/127.0.0.1') },
    { addresses: ['x'.repeat(129)] },
    { zone: 'x'.repeat(33) },
    { name: 'a\u001b[2J' },
    { name: 'ü'.repeat(41) },
    { version: 'x'.repeat(21) },
    { capacity: -1 }
  ]
  for (const wrong of bad) {
    assert.throws(
      () => checkFacts({ ...facts, ...wrong }),
      (error: unknown) => CairnError.is(error, 'BAD_CONFIG')
    )
  }
})

member('signs its departure for one id and one incarnation', () => {
  const texts = [
    leftStatement('a' as PeerId, 1),
    leftStatement('a' as PeerId, 11),
    leftStatement('b' as PeerId, 1)
  ]
  assert.is(new Set(texts.map((bytes) => bytes.join())).size, 3)
})

member.run()
