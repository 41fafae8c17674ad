import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { BlockKey } from '../src/block.ts'
import { DATA_LIMITS } from '../src/limits.ts'
import type { Tally } from '../src/safety.ts'
import {
  createSurveys,
  onSurveyLookedUp,
  onSurveyMessage,
  SURVEY_TIMEOUT_MS,
  type SurveyAction,
  startSurvey,
  surveysDeadline,
  surveysTick
} from '../src/survey.ts'
import { keyIn, peer } from './support/data.ts'

const tallyOf = (blocks: number): Tally => {
  return { blocks, bytes: 0, short: [], unconfirmed: { blocks: 0, bytes: 0 }, wanted: 0, rate: 0, waitMs: 0 }
}
const OTHERS = [peer(1), peer(2), peer(3)]
const KEYS = Array.from({ length: 20 }, (_, i) => keyIn(i))

function started(keys?: readonly BlockKey[]) {
  const surveys = createSurveys(peer(0))
  const ask = { request: 7, own: tallyOf(1), ...(keys === undefined ? {} : { keys }) }
  const actions = startSurvey(surveys, ask, OTHERS, 0)
  const [sent] = actions
  const token = sent?.type === 'send' ? sent.message.token : -1
  return { surveys, actions, token, hear: (n: number, blocks: number) => tell(surveys, n, token, blocks) }
}

function tell(surveys: ReturnType<typeof createSurveys>, n: number, token: number, blocks: number) {
  return onSurveyMessage(surveys, peer(n), { type: 'tally', token, tally: tallyOf(blocks) }, () => tallyOf(0))
}

function found(surveys: ReturnType<typeof createSurveys>, keys: readonly BlockKey[], token = -2) {
  return onSurveyLookedUp(surveys, { token, found: new Map(keys.map((key) => [key, { held: true }])) })
}

const survey = suite('survey')

survey('it ends with the last answer, ours included', () => {
  const { hear, surveys } = started()
  assert.equal([...hear(1, 10), ...hear(2, 100)], [])
  const [end] = hear(3, 1_000) as [SurveyAction & { type: 'surveyed' }]
  assert.equal([end.request, end.tally.blocks, end.silent], [7, 1_111, []])
  assert.is(surveys.open.size, 0)
})

survey('an answer given twice, by a stranger, or to nothing asked counts for nothing', () => {
  const { hear, surveys, token } = started()
  hear(1, 10)
  assert.equal([...hear(1, 10), ...hear(9, 10), ...tell(surveys, 2, token + 5, 10)], [])
  const [end] = surveysTick(surveys, SURVEY_TIMEOUT_MS) as [SurveyAction & { type: 'surveyed' }]
  assert.is(end.tally.blocks, 11)
})

survey('silence is told, never filled in', () => {
  const { hear, surveys } = started()
  hear(2, 10)
  assert.is(surveysDeadline(surveys), SURVEY_TIMEOUT_MS)
  assert.equal(surveysTick(surveys, SURVEY_TIMEOUT_MS - 1), [])
  const [end] = surveysTick(surveys, SURVEY_TIMEOUT_MS) as [SurveyAction & { type: 'surveyed' }]
  assert.equal(end.silent, [peer(1), peer(3)])
  assert.is(surveysDeadline(surveys), Number.POSITIVE_INFINITY)
})

survey('alone it is answered at once', () => {
  const [end] = startSurvey(createSurveys(peer(0)), { request: 1, own: tallyOf(5) }, [], 0)
  assert.ok(end?.type === 'surveyed' && end.tally.blocks === 5)
})

survey('an inquiry names the holders of each key', () => {
  const { surveys, token, actions } = started(KEYS)
  assert.is(actions.filter(({ type }) => type === 'look-up').length, 1)
  found(surveys, KEYS.slice(0, 2))
  for (const n of [1, 2, 3]) {
    const held = Uint8Array.of(n === 3 ? 0 : 0b10, n === 1 ? 0b1 : 0, 0)
    const end = onSurveyMessage(surveys, peer(n), { type: 'inquired', token, held }, () => tallyOf(0))
    if (n < 3) continue
    const [{ holders }] = end as [SurveyAction & { type: 'inquired' }]
    assert.equal(holders.get(KEYS[0] as BlockKey), [peer(0)])
    assert.equal(holders.get(KEYS[1] as BlockKey), [peer(0), peer(1), peer(2)])
    assert.equal(holders.get(KEYS[8] as BlockKey), [peer(1)])
    assert.is(holders.get(KEYS[9] as BlockKey), undefined)
  }
})

survey('an answer shorter or longer than what was asked is read as far as it goes', () => {
  for (const held of [new Uint8Array(0), new Uint8Array(64).fill(255)]) {
    const { surveys, token } = started(KEYS)
    onSurveyMessage(surveys, peer(1), { type: 'inquired', token, held }, () => tallyOf(0))
    const [end] = surveysTick(surveys, SURVEY_TIMEOUT_MS) as [SurveyAction & { type: 'inquired' }]
    assert.is(end.holders.size, held.length === 0 ? 0 : KEYS.length)
  }
})

survey("another's question is answered with a bit for each key", () => {
  const surveys = createSurveys(peer(0))
  const [look] = onSurveyMessage(surveys, peer(1), { type: 'inquiry', token: 9, keys: KEYS }, () =>
    tallyOf(0)
  )
  assert.ok(look?.type === 'look-up' && look.token < 0, 'apart from the tokens of comparing')
  const [answer] = found(surveys, [KEYS[0], KEYS[9]] as BlockKey[], look.token)
  assert.ok(answer?.type === 'send' && answer.message.type === 'inquired')
  assert.equal([...answer.message.held], [1, 2, 0])
  assert.equal(found(surveys, KEYS, look.token), [], 'once')
})

survey('questions beyond the limit are answered by nobody, and say so', () => {
  const surveys = createSurveys(peer(0))
  for (let i = 0; i < 64; i++) startSurvey(surveys, { request: i, own: tallyOf(1) }, OTHERS, 0)
  for (const keys of [undefined, KEYS]) {
    const ask = { request: 99, own: tallyOf(1), ...(keys === undefined ? {} : { keys }) }
    const [end, more] = startSurvey(surveys, ask, OTHERS, 0)
    assert.ok(end?.type === 'surveyed' || end?.type === 'inquired')
    for (const id of OTHERS) assert.ok(end.silent.includes(id))
    assert.is(more, undefined)
  }
  assert.is(surveys.open.size, 64)
  for (let n = 0; n < 1_000; n++) {
    onSurveyMessage(surveys, peer(n), { type: 'inquiry', token: 1, keys: KEYS }, () => tallyOf(0))
  }
  assert.is(surveys.lookups.size, 64)
})

survey('more keys than one message takes are a bug of the caller', () => {
  const keys = Array.from({ length: DATA_LIMITS.inquiryKeys + 1 }, (_, i) => keyIn(i))
  assert.throws(
    () => startSurvey(createSurveys(peer(0)), { request: 1, own: tallyOf(1), keys }, OTHERS, 0),
    (error: unknown) => error instanceof RangeError
  )
})

survey('what is asked about with the loss of members is passed on, as far as a message takes', () => {
  const surveys = createSurveys(peer(0))
  const without = [peer(2), peer(5)]
  const [sent] = startSurvey(surveys, { request: 1, own: tallyOf(1), without }, OTHERS, 0)
  assert.ok(sent?.type === 'send' && sent.message.type === 'survey')
  assert.equal(sent.message.without, without)
  const heard: string[] = []
  onSurveyMessage(createSurveys(peer(1)), peer(0), sent.message, (lost) => {
    heard.push(...lost)
    return tallyOf(0)
  })
  assert.equal(heard, without)
  const many = Array.from({ length: DATA_LIMITS.lossMembers + 1 }, (_, i) => peer(i))
  assert.throws(() => startSurvey(surveys, { request: 2, own: tallyOf(1), without: many }, OTHERS, 0), /lost/)
})

survey.run()
