import { type RefWant, votersAfter } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { newRefWriter, onRefWriter, type RefNews, type RefStep } from '../src/ref-writer.ts'
import { OWNER, record, voted } from './support/refs.ts'

const writers = suite('writers')
const first = record([])
const second = record([first], { root: Uint8Array.of(5) })
const rival = record([first], { root: Uint8Array.of(9) })

const body = (one: typeof first) => {
  const { id: _, hash: __, bytes: ___, ...rest } = one
  return rest
}

function begin(more: Partial<RefWant> = {}) {
  const { writer, step } = newRefWriter({ owner: OWNER, name: 'photos', root: Uint8Array.of(5), ...more })
  return { writer, step, on: (news: Parameters<typeof onRefWriter>[1]): RefStep => onRefWriter(writer, news) }
}

function endOf(step: RefStep): string {
  return step.type === 'end' ? step.result.type : step.type
}
const acknowledged = (one: typeof first): RefNews => ({
  type: 'updated',
  outcome: { type: 'acknowledged', record: one, receipts: [] }
})
const refused = (one: typeof first): RefNews => ({
  type: 'updated',
  outcome: { type: 'refused', record: one, receipts: [], refusals: [] }
})

writers('a draft is signed, proposed and acknowledged', () => {
  const { step, on } = begin()
  assert.is(step.type, 'draft')
  assert.is(on({ type: 'drafted', draft: { type: 'draft', body: body(second), chain: [] } }).type, 'sign')
  assert.is(on({ type: 'signed', record: second }).type, 'propose')
  assert.is(endOf(on(acknowledged(second))), 'acknowledged')
})

writers(
  'what was begun is finished first: to the same root that is the update, to another the one before',
  () => {
    const same = begin()
    assert.is(
      same.on({ type: 'drafted', draft: { type: 'finish', record: second, chain: [] } }).type,
      'propose'
    )
    assert.is(endOf(same.on(acknowledged(second))), 'acknowledged')
    for (const more of [{ keep: 7 }, { metadata: [{ key: 'by', value: 'another' }] }]) {
      const other = begin(more)
      other.on({ type: 'drafted', draft: { type: 'finish', record: second, chain: [] } })
      assert.is(other.on(acknowledged(second)).type, 'draft', 'the same root, and not the same update')
    }
    const other = begin()
    other.on({ type: 'drafted', draft: { type: 'finish', record: rival, chain: [] } })
    assert.is(other.on(acknowledged(rival)).type, 'draft')
  }
)

writers('a lost race is run again, a split is told, and settled only when asked', () => {
  const one = begin()
  one.on({ type: 'signed', record: second })
  assert.is(one.on(refused(second)).type, 'draft')
  assert.is(endOf(one.on({ type: 'drafted', draft: { type: 'split', rivals: [second, rival] } })), 'conflict')
  const settling = begin({ settle: true })
  assert.is(
    settling.step.type === 'draft' && settling.step.want.settle,
    false,
    'finished first, if it can be'
  )
  const next = settling.on({ type: 'drafted', draft: { type: 'split', rivals: [second, rival] } })
  assert.is(next.type === 'draft' && next.want.settle, true)
})

writers('who was asked and is gone may have done it: what was signed is recognised', () => {
  const one = begin({ ifSequence: 1 })
  one.on({ type: 'signed', record: second })
  assert.is(one.on({ type: 'lost' }).type, 'draft')
  assert.is(endOf(one.on({ type: 'drafted', draft: { type: 'moved', best: voted(second) } })), 'acknowledged')
  const two = begin()
  two.on({ type: 'signed', record: second })
  two.on({ type: 'lost' })
  const after = { ...body(record([second])), voters: votersAfter([second]) }
  assert.is(
    endOf(two.on({ type: 'drafted', draft: { type: 'draft', body: after, chain: [] } })),
    'acknowledged'
  )
})

writers('it ends: after so many rounds, for want of voters, and when the condition fails', () => {
  const { on } = begin()
  let step: RefStep = { type: 'end', result: { type: 'absent' } }
  for (let i = 0; i < 8; i++) {
    on({ type: 'signed', record: second })
    step = on(refused(second))
  }
  assert.is(endOf(step), 'too-few')
  assert.is(endOf(begin().on({ type: 'drafted', draft: { type: 'unknown' } })), 'too-few')
  assert.is(endOf(begin().on({ type: 'drafted', draft: { type: 'moved', best: voted(first) } })), 'moved')
  assert.is(endOf(begin().on({ type: 'drafted', draft: { type: 'absent' } })), 'absent')
  assert.is(endOf(begin().on({ type: 'updated', outcome: { type: 'failed', reason: 'x' } })), 'failed')
})

writers.run()
