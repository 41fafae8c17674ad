/**
 * Asking all living members one question and waiting, within a limit, for what they answer: how safe the
 * data is, or who holds some blocks. Silence is an answer of its own: it is counted, never filled in.
 */
import type { BlockKey, PeerId } from './block.ts'
import { createDoomings, type DoomedAction, type Doomings, doomedDeadline, doomedTick } from './doomed.ts'
import { DATA_LIMITS as LIMITS } from './limits.ts'
import { addTallies, type Tally } from './safety.ts'
import type { SurveyMessage } from './wire.ts'

/** How long members have to answer, ms. Above a control round trip behind a stalled event loop's p99. */
export const SURVEY_TIMEOUT_MS = 1_000
/** Questions under way for users, and look-ups for others; one more is answered by nobody but ourselves. */
const SURVEYS_MAX = 64

export type SurveyAction =
  | DoomedAction
  | { type: 'send'; to: PeerId; message: SurveyMessage }
  | { type: 'look-up'; token: number; keys: BlockKey[] }
  | { type: 'surveyed'; request: number; tally: Tally; silent: PeerId[] }
  | { type: 'inquired'; request: number; holders: Map<BlockKey, PeerId[]>; silent: PeerId[] }

interface Survey {
  request: number
  waiting: Set<PeerId>
  tallies: Tally[]
  /** The keys of an inquiry; undefined for a survey of safety. */
  keys: readonly BlockKey[] | undefined
  holders: Map<BlockKey, PeerId[]>
  untilMs: number
}

export interface Surveys {
  readonly self: PeerId
  readonly open: Map<number, Survey>
  /** Others' inquiries that the store is looking up, by its token. */
  readonly lookups: Map<number, { to: PeerId; token: number; keys: readonly BlockKey[] }>
  /** What would be lost, listed key by key. */
  readonly doomed: Doomings
  nextToken: number
}

export function createSurveys(self: PeerId): Surveys {
  return { self, open: new Map(), lookups: new Map(), doomed: createDoomings(self), nextToken: 1 }
}

/** Asks everybody; `keys` makes it an inquiry. */
export function startSurvey(
  surveys: Surveys,
  ask: { request: number; own: Tally; keys?: readonly BlockKey[]; without?: readonly PeerId[] },
  members: readonly PeerId[],
  nowMs: number
): SurveyAction[] {
  const { request, own, keys, without = [] } = ask
  if (keys !== undefined && keys.length > LIMITS.inquiryKeys) {
    throw new RangeError(`${keys.length} keys in an inquiry where ${LIMITS.inquiryKeys} are the limit`)
  }
  if (without.length > LIMITS.lossMembers) {
    throw new RangeError(`${without.length} members lost where ${LIMITS.lossMembers} are the limit`)
  }
  if (surveys.open.size >= SURVEYS_MAX) {
    const silent = [...members]
    if (keys === undefined) return [{ type: 'surveyed', request, tally: addTallies([own]), silent }]
    return [{ type: 'inquired', request, holders: new Map(), silent: [...silent, surveys.self] }]
  }
  const token = surveys.nextToken++
  const waiting = new Set(members)
  const untilMs = nowMs + SURVEY_TIMEOUT_MS
  const survey: Survey = { request, waiting, tallies: [own], keys, holders: new Map(), untilMs }
  surveys.open.set(token, survey)
  const message: SurveyMessage =
    keys === undefined
      ? { type: 'survey', token, without: [...without] }
      : { type: 'inquiry', token, keys: [...keys] }
  const actions: SurveyAction[] = [...waiting].map((to) => ({ type: 'send', to, message }))
  if (keys === undefined) return [...actions, ...finish(surveys, token, false)]
  waiting.add(surveys.self)
  return [...actions, lookUp(surveys, { to: surveys.self, token, keys })]
}

/** Answers another's question, or takes an answer to ours. */
export function onSurveyMessage(
  surveys: Surveys,
  from: PeerId,
  message: SurveyMessage,
  own: (without: readonly PeerId[]) => Tally
): SurveyAction[] {
  const { token } = message
  switch (message.type) {
    case 'survey':
      return [{ type: 'send', to: from, message: { type: 'tally', token, tally: own(message.without) } }]
    case 'inquiry':
      return surveys.lookups.size < SURVEYS_MAX
        ? [lookUp(surveys, { to: from, token, keys: message.keys })]
        : []
    case 'tally': {
      const survey = surveys.open.get(token)
      if (survey?.keys !== undefined || !survey?.waiting.delete(from)) return []
      survey.tallies.push(message.tally)
      return finish(surveys, token, false)
    }
    case 'inquired':
      return onHeld(surveys, from, token, message.held)
  }
}

function lookUp(
  surveys: Surveys,
  wanted: { to: PeerId; token: number; keys: readonly BlockKey[] }
): SurveyAction {
  // Negative: the reconciler's tokens for the same action are positive.
  const token = -surveys.nextToken++
  surveys.lookups.set(token, wanted)
  return { type: 'look-up', token, keys: [...wanted.keys] }
}

/** The store's answer to a `look-up` of ours. */
export function onSurveyLookedUp(
  surveys: Surveys,
  result: { token: number; found: ReadonlyMap<BlockKey, { held: boolean }> }
): SurveyAction[] {
  const wanted = surveys.lookups.get(result.token)
  if (wanted === undefined) return []
  surveys.lookups.delete(result.token)
  const { to, token, keys } = wanted
  const held = new Uint8Array(Math.ceil(keys.length / 8))
  keys.forEach((key, i) => {
    if (result.found.get(key)?.held) held[i >> 3] = (held[i >> 3] as number) | (1 << (i & 7))
  })
  if (to === surveys.self) return onHeld(surveys, to, token, held)
  return [{ type: 'send', to, message: { type: 'inquired', token, held } }]
}

function onHeld(surveys: Surveys, from: PeerId, token: number, held: Uint8Array): SurveyAction[] {
  const survey = surveys.open.get(token)
  if (survey?.keys === undefined || !survey.waiting.delete(from)) return []
  survey.keys.forEach((key, i) => {
    if ((((held[i >> 3] ?? 0) >> (i & 7)) & 1) === 0) return
    const holders = survey.holders.get(key)
    if (holders === undefined) survey.holders.set(key, [from])
    else holders.push(from)
  })
  return finish(surveys, token, false)
}

/** Ends what is answered or has waited long enough. */
export function surveysTick(surveys: Surveys, nowMs: number): SurveyAction[] {
  const late = [...surveys.open].filter(([, { untilMs }]) => untilMs <= nowMs)
  return [...late.flatMap(([token]) => finish(surveys, token, true)), ...doomedTick(surveys.doomed, nowMs)]
}

export function surveysDeadline(surveys: Surveys): number {
  let next = doomedDeadline(surveys.doomed)
  for (const { untilMs } of surveys.open.values()) next = Math.min(next, untilMs)
  return next
}

function finish(surveys: Surveys, token: number, late: boolean): SurveyAction[] {
  const survey = surveys.open.get(token)
  if (survey === undefined || (survey.waiting.size > 0 && !late)) return []
  surveys.open.delete(token)
  const { request, waiting, holders, tallies, keys } = survey
  const silent = [...waiting]
  if (keys === undefined) return [{ type: 'surveyed', request, tally: addTallies(tallies), silent }]
  return [{ type: 'inquired', request, holders, silent }]
}
