/**
 * What a member's message does, and whose messages do anything: only living members are heard on data, and
 * nobody may keep us busy with questions.
 */
import { auditHeard, onAuditMessage } from './auditing.ts'
import type { PeerId } from './block.ts'
import { onDoomedMessage } from './doomed.ts'
import { hasRepairRoom } from './fetch.ts'
import { onFreeingMessage } from './freeing.ts'
import { heatTold, onHeatMessage } from './heat.ts'
import { DATA_LIMITS as LIMITS } from './limits.ts'
import { isLiving } from './member.ts'
import { step as membershipStep } from './membership.ts'
import { mirrorsTold, onMirrorMessage } from './mirror-told.ts'
import { onCompareMessage } from './reconcile.ts'
import { onRefMessage } from './refs.ts'
import { onScrubMessage } from './scrubbing.ts'
import { onSurveyMessage, type SurveyAction } from './survey.ts'
import {
  isAudit,
  isCompare,
  isDoomed,
  isFreeing,
  isGossip,
  isHeat,
  isMirror,
  isRef,
  isScrub,
  type Message,
  type SurveyMessage
} from './wire.ts'

/** Applies a message; what it costs us is bounded by who may ask. */
export function receive(
  core: Core,
  { from, message }: CoreEvent & { type: 'message' },
  nowMs: number,
  dataMs: number
): readonly Effect[] {
  auditHeard(core.auditing, from, dataMs)
  if (isGossip(message)) {
    return membershipStep(core.membership, { type: 'message', from, message }, nowMs)
  }
  if (!mayAsk(core, from, message, nowMs)) return []
  if (isMirror(message)) {
    onMirrorMessage(core.mirrorTold, from, message, dataMs)
    return []
  }
  if (isHeat(message)) {
    onHeatMessage(core.heat, from, message, dataMs)
    return []
  }
  if (isRef(message)) {
    const answers = onRefMessage(core.refs, refScene(core, dataMs), from, message)
    if (message.type !== 'ref-ask') return answers
    const asked = { ref: message.id, self: core.self, to: from }
    const told = mirrorsTold(core.mirrorTold, core.mirrors, asked, dataMs)
    return [...told, ...heatTold(core.heat, asked, dataMs), ...answers]
  }
  if (message.type === 'bad-copy') {
    return [{ type: 'check-copy', key: message.key, from, reason: message.reason }]
  }
  if (isFreeing(message)) return onFreeingMessage(core.freeing, core, from, message)
  if (isScrub(message)) return onScrubMessage(from, message)
  if (isAudit(message)) return onAuditMessage(core.auditing, { from, message }, viewOf(core, dataMs))
  if (isDoomed(message)) {
    return onDoomedMessage(core.surveys.doomed, from, message, (without) => ownDoomed(core, without))
  }
  if (!isCompare(message)) return surveyed(core, from, message, dataMs)
  const peer = { from, mayAsk: hasRepairRoom(core.fetches, from) }
  return onCompareMessage(core.reconciler, core.holders, peer, message, dataMs)
}

/** Messages that cost work without our having asked for them. */
import type { Core, CoreEvent, Effect } from './core-types.ts'
import { ownDoomed, ownTally, refScene, viewOf } from './scenes.ts'

const QUESTIONS: readonly Message['type'][] = [
  ...(['compare', 'offer', 'survey', 'inquiry', 'bad-copy', 'release', 'more-claims', 'ended'] as const),
  ...([
    'ref-list',
    'ref-over',
    'ask-hold',
    'challenge',
    'witness',
    'accuse',
    'ask-scrub',
    'ask-doomed'
  ] as const)
]

function mayAsk(core: Core, from: PeerId, { type }: Message, nowMs: number): boolean {
  const member = core.membership.table.known.get(from)?.member
  if (from === core.self || member === undefined || !isLiving(member.state)) return false
  if (!QUESTIONS.includes(type)) return true
  const second = Math.floor(nowMs / 1_000)
  if (second !== core.askedSecond) core.asked.clear()
  core.askedSecond = second
  const count = (core.asked.get(from) ?? 0) + 1
  core.asked.set(from, count)
  return count <= LIMITS.questionsPerSecond
}

function surveyed(core: Core, from: PeerId, message: SurveyMessage, nowMs: number): SurveyAction[] {
  return onSurveyMessage(core.surveys, from, message, (without) => ownTally(core, nowMs, without))
}
