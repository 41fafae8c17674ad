/** Questions to the core, and through it to the members: each is answered by its number, and always. */
import type { AuditEvent, BlockKey, CoreEvent, PeerId } from '@cairn/core'
import type { Answered, Shell } from './shell.ts'

/** Keys of one inquiry; the core's limit. */
export const INQUIRY_KEYS = 512
/** Asked again when a member was silent: it takes so many questions a second, and no more. */
const INQUIRIES_MAX = 3

let nextRequest = 1

type Question =
  | { type: 'survey'; without?: readonly PeerId[] }
  | { type: 'inquire'; keys: BlockKey[] }
  | Omit<Extract<CoreEvent, { type: 'ask-doomed' }>, 'request'>
  | Omit<Extract<AuditEvent, { type: 'challenge' }>, 'request'>

/** Puts a question to the members. */
export function ask(shell: Shell, event: Question): Promise<Answered> {
  const request = nextRequest++
  return new Promise((resolve, reject) => {
    shell.usable()
    shell.asked.set(request, { resolve, reject })
    shell.dispatch({ ...event, request })
  })
}

/** Who holds these, at most `INQUIRY_KEYS`; who is silent is asked again. */
export async function inquire(shell: Shell, keys: BlockKey[]): Promise<Answered & { type: 'inquired' }> {
  for (let tries = 1; ; tries++) {
    const answer = await ask(shell, { type: 'inquire', keys })
    if (answer.type !== 'inquired') throw new TypeError('an inquiry answered as something else')
    if (answer.silent.length === 0 || tries === INQUIRIES_MAX) return answer
  }
}
