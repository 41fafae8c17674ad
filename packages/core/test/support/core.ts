/** A core to talk to, among members that are numbers. */

import { coreStep, createCore } from '../../src/core.ts'
import type { Core, CoreAction } from '../../src/core-types.ts'
import type { LivingMember } from '../../src/member.ts'
import { seeded } from '../../src/random.ts'
import type { Message } from '../../src/wire.ts'
import { member, peer, sha256 } from './data.ts'

const CRYPTO = { sha256, sign: () => new Uint8Array(64), verify: () => true }

export function newCore(nowMs = 0): Core {
  const { addresses, capacity, zone, name, full, http, version } = member(0)
  const facts = { addresses, capacity, zone, name, full, http, version }
  const options = {
    id: peer(0),
    facts,
    incarnation: 0,
    life: '00'.repeat(8),
    config: {},
    random: seeded(1),
    crypto: CRYPTO
  }
  return createCore(options, nowMs)
}

export function meet(core: Core, n: number, nowMs = 0): CoreAction[] {
  const rumour = { type: 'facts', member: member(n) as LivingMember } as const
  return hear(core, n, { type: 'news', rumours: [rumour] }, nowMs)
}

export function hear(core: Core, from: number, message: Message, nowMs = 0): CoreAction[] {
  return coreStep(core, { type: 'message', from: peer(from), message }, nowMs)
}

export const sends = (actions: readonly CoreAction[]) =>
  actions.flatMap((action) => (action.type === 'send' ? [action.message.type] : []))
