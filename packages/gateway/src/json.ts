/** What the node says, as JSON: CIDs as text, bytes as hex, 64-bit numbers as text, absence left out. */
import { toHex } from '@cairn/core'
import { CID } from 'multiformats/cid'

export function toJson(value: unknown): string {
  return JSON.stringify(value, plain)
}

// `this` is the holder: the value itself has already passed its own toJSON, and a CID's is an object
function plain(this: unknown, key: string, value: unknown): unknown {
  const raw = (this as Record<string, unknown>)[key]
  if (typeof raw === 'bigint') return raw.toString()
  if (raw instanceof Uint8Array) return toHex(raw)
  if (typeof raw === 'object' && raw !== null) return CID.asCID(raw)?.toString() ?? value
  return value
}
