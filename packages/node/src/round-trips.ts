/** How long members take to answer a probe: from the ping that was sent to the ack of the same number. */
import type { Message, PeerId } from '@cairn/core'

export interface RoundTrips {
  sent(to: PeerId, message: Message, nowMs: number): void
  heard(from: PeerId, message: Message, nowMs: number): void
  /** Of the last probe that was answered; undefined before the first. */
  lastMs(peer: PeerId): number | undefined
}

/** One entry a member: an older probe that goes unanswered is forgotten with the next. */
export function roundTrips(): RoundTrips {
  const pings = new Map<PeerId, { seq: number; atMs: number }>()
  const last = new Map<PeerId, number>()
  return {
    sent(to, message, nowMs) {
      if (message.type === 'ping') pings.set(to, { seq: message.seq, atMs: nowMs })
    },
    heard(from, message, nowMs) {
      if (message.type !== 'ack') return
      const ping = pings.get(from)
      if (ping?.seq !== message.seq) return
      pings.delete(from)
      last.set(from, nowMs - ping.atMs)
    },
    lastMs: (peer) => last.get(peer)
  }
}
