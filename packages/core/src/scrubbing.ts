/**
 * The messages by which one member has all others read their disks again and tell what they found. Nothing
 * is decided about them but who is heard: the shell asks again and again until each is done. Tags 120 … 129.
 */
import type { PeerId } from './block.ts'
import { type Decoded, hex, oneOf, struct, varint } from './codec.ts'

/** Names one scrub of the whole network: the same again asks how far it is. */
export const SCRUB_RUN_BYTES = 8
const run = hex(SCRUB_RUN_BYTES)

export const SCRUB_STATES = ['running', 'done', 'refused'] as const
export type ScrubState = (typeof SCRUB_STATES)[number]

export const SCRUB_MESSAGES = {
  /** "Read your disk again, for this run, or say how far you are." */
  'ask-scrub': struct({ run }),
  'tell-scrub': struct({
    run,
    state: oneOf(SCRUB_STATES),
    blocks: varint,
    bytes: varint,
    /** Bytes to read in all. */
    total: varint,
    damaged: varint,
    refetched: varint,
    besides: varint
  })
}
/** On the wire: never reuse one. */
export const SCRUB_TAGS = { 'ask-scrub': 120, 'tell-scrub': 121 } as const

export type ScrubMessage = {
  [K in keyof typeof SCRUB_MESSAGES]: { type: K } & Decoded<(typeof SCRUB_MESSAGES)[K]>
}[keyof typeof SCRUB_MESSAGES]

export type ScrubAction = { type: 'scrub-message'; from: PeerId; message: ScrubMessage }

/** Hands it to the shell, as what a living member said. */
export function onScrubMessage(from: PeerId, message: ScrubMessage): ScrubAction[] {
  return [{ type: 'scrub-message', from, message }]
}
