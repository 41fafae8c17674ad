/**
 * Two processes with one identity (a copied home): each contradicts what the other says of itself, and the
 * others believe the last. After a restart our own old words come back once or twice; words that are newer
 * than ours, again and again, are a twin's. Whoever notices first stops, so that one is left.
 */
import { CairnError, type Member, type Message } from '@cairn/core'

/** Contradictions within `WITHIN_MS`. One is normal after a restart, two if the last run's file was lost. */
const CONTRADICTIONS_MAX = 3
const WITHIN_MS = 60_000

export interface TwinWatch {
  /** Looks at what a peer says. @returns why this node must stop, when it must */
  hear(message: Message, own: Member, nowMs: number): CairnError | undefined
}

export function watchForTwin(): TwinWatch {
  let seen = 0
  let times: number[] = []
  return {
    hear(message, own, nowMs) {
      if (!('rumours' in message)) return undefined
      for (const rumour of message.rumours) {
        if (rumour.type !== 'facts' || rumour.member.id !== own.id) continue
        const { incarnation, addresses } = rumour.member
        const ours = addresses.join() === own.addresses.join()
        if (ours || incarnation < own.incarnation || incarnation <= seen) continue
        seen = incarnation
        times = [...times.filter((atMs) => atMs > nowMs - WITHIN_MS), nowMs]
        if (times.length > CONTRADICTIONS_MAX) return twin(own, addresses)
      }
      return undefined
    }
  }
}

function twin({ id }: Member, addresses: readonly string[]): CairnError {
  return new CairnError('LOCKED', `another process uses this node's identity, at ${addresses.join(', ')}`, {
    hint: `a home is one node (${id}): run it in one place, and start others with an empty home`
  })
}
