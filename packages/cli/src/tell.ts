/** What a node in the foreground tells of its life: members that come and go, repairs, warnings. */
import type { Forecast, NodeEvent } from '@cairn/node'
import { duration, plural, safe, size } from './format.ts'
import type { Output } from './output.ts'

/** A line for a person; `undefined` for what only a program wants. */
export function eventText(event: NodeEvent): string | undefined {
  switch (event.type) {
    case 'member':
      return memberText(event)
    case 'repair':
      return repairText(event)
    case 'safe':
      return `all is safe again: ${forecastText(event)}`
    case 'block-lost':
      return `block ${event.cid}: ${safe(event.reason)}`
    case 'fault':
      return `${safe(event.name)} ${faultText(event.kind)} ${event.cid}: its copies are no longer counted`
    case 'pin':
      return undefined
    case 'log':
      return event.level === 'info' ? undefined : safe(event.text)
  }
}

/** What it did, before the CID of the block. */
export function faultText(kind: 'wrong-answer' | 'asked-for-it'): string {
  return kind === 'wrong-answer' ? 'signed a wrong proof of' : 'asked for what it had signed that it holds,'
}

/** `it was said to take 14 s, and took 12 s`. */
export function forecastText({ saidSeconds, tookSeconds }: Forecast): string {
  return `it was said to take ${duration(1_000 * saidSeconds)}, and took ${duration(1_000 * tookSeconds)}`
}

function repairText({ blocks, bytes, left }: Extract<NodeEvent, { type: 'repair' }>): string | undefined {
  if (blocks === 0) return undefined
  return `fetched ${plural(blocks, 'block')}, ${size(bytes)}; ${plural(left, 'block')} to go`
}

function memberText({ name, state, was }: Extract<NodeEvent, { type: 'member' }>): string | undefined {
  const who = safe(name)
  if (state === 'suspect') return undefined // it may yet answer; `cairn peers` shows it
  if (state === 'alive') return was === 'suspect' ? undefined : `${who} is here`
  return state === 'dead'
    ? `${who} is gone`
    : `${who} is ${state === 'leaving' ? 'leaving' : 'no longer a member'}`
}

/** Tells until the node ends; resolves with the last error that it told, if there was one. */
export async function tellEvents(events: AsyncIterable<NodeEvent>, out: Output): Promise<string | undefined> {
  let lastError: string | undefined
  for await (const event of events) {
    if (event.type === 'log' && event.level === 'error') lastError = event.text
    if (out.json) out.result({ event: event.type, ...plain(event) }, () => '')
    else {
      const text = eventText(event)
      if (text !== undefined) isAlarming(event) ? out.warn(text) : out.note(`  ${text}`)
    }
  }
  return lastError
}

function isAlarming(event: NodeEvent): boolean {
  return event.type === 'block-lost' || event.type === 'log'
}

/** CIDs as text. */
function plain(event: NodeEvent): object {
  switch (event.type) {
    case 'block-lost':
      return { ...event, cid: event.cid.toString() }
    case 'pin':
      return { ...event, root: event.root.toString() }
    default:
      return event
  }
}
