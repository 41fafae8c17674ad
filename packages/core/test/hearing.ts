import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DATA_LIMITS } from '../src/limits.ts'
import type { Message } from '../src/wire.ts'
import { hear, meet, newCore, sends } from './support/core.ts'
import { peer } from './support/data.ts'

const hearing = suite('hearing')

hearing('who is not a living member is not heard on data', () => {
  const one = newCore()
  const survey: Message = { type: 'survey', token: 1, without: [] }
  assert.equal(sends(hear(one, 1, survey)), [])
  assert.equal(sends(hear(one, 0, survey)), [], 'nor we ourselves')
  meet(one, 1)
  assert.equal(sends(hear(one, 1, survey)), ['tally'])
  hear(one, 2, { type: 'news', rumours: [{ type: 'dead', id: peer(1), incarnation: 0 }] })
  assert.equal(
    sends(hear(one, 1, survey)).filter((type) => type === 'tally'),
    []
  )
  assert.is(one.reconciler.peers.size, 0)
})

hearing('nobody keeps it busy with questions, and a second later all may ask again', () => {
  const one = newCore()
  meet(one, 1)
  meet(one, 2)
  const answers = (from: number, nowMs: number, times: number) => {
    let count = 0
    for (let i = 0; i < times; i++) {
      count += sends(hear(one, from, { type: 'survey', token: i, without: [] }, nowMs)).filter(
        (type) => type === 'tally'
      ).length
    }
    return count
  }
  assert.is(answers(1, 10, 100), DATA_LIMITS.questionsPerSecond)
  assert.is(answers(2, 10, 1), 1)
  assert.is(answers(1, 1_010, 1), 1)
})

hearing.run()
