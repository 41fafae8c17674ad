/** A node's JSON as the client's types. A node is believed about itself; what it says only has to parse. */
import { parseCid } from '@cairn/blocks'
import { CairnError, fromHex } from '@cairn/core'
import type {
  DagStatus,
  GcResult,
  HeldReceipt,
  NodeEvent,
  NodeInfo,
  NodeStatus,
  Outcome,
  PeerInfo,
  Pin,
  ProofResult,
  UsageReport
} from './types.ts'

type Json = Record<string, unknown>

function object(value: unknown): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json
  throw new CairnError('BAD_MESSAGE', 'an answer that is not what a Cairn node says', {
    hint: 'is its version older than this one?'
  })
}

function list(value: unknown): Json[] {
  if (!Array.isArray(value)) object(undefined)
  return (value as unknown[]).map(object)
}

export function toGcResult(value: unknown): GcResult {
  return object(value) as unknown as GcResult
}

export function toUsage(value: unknown): UsageReport {
  const json = object(value)
  const names = list(json.names).map(({ root, ...name }) => {
    return { ...name, ...(root === undefined ? {} : { root: parseCid(String(root)) }) }
  })
  return { ...json, names } as unknown as UsageReport
}

export function toOutcome(value: unknown): Outcome {
  const json = object(value)
  const absent = Array.isArray(json.absent) ? json.absent : []
  return {
    ...(json as unknown as Outcome),
    holders: list(json.holders) as unknown as Outcome['holders'],
    short: list(json.short).map(
      (short) => ({ ...short, cid: parseCid(String(short.cid)) }) as Outcome['short'][0]
    ),
    absent: absent.map((cid) => parseCid(String(cid))),
    ...(json.receipts === undefined ? {} : { receipts: list(json.receipts).map(toReceipt) })
  }
}

function toReceipt({ receipt, items }: Json): HeldReceipt {
  return { receipt: fromHex(String(receipt)), items: fromHex(String(items)) }
}

export function toPin(value: unknown): Pin {
  const json = object(value)
  const { digests, ...pin } = { ...(json as unknown as Pin), root: parseCid(String(json.root)) }
  return digests === undefined ? pin : { ...pin, digests: parseCid(String(digests)) }
}

export function toPins(value: unknown): Pin[] {
  return list(object(value).pins).map(toPin)
}

export function toNodeInfo(value: unknown): NodeInfo {
  return object(value) as unknown as NodeInfo
}

export function toNodeStatus(value: unknown): NodeStatus {
  const json = object(value)
  const damage = object(json.damage ?? { found: 0, healed: 0, latest: [] })
  const latest = list(damage.latest).map((one) => ({ ...one, cid: parseCid(String(one.cid)) }))
  return { ...json, damage: { ...damage, latest } } as unknown as NodeStatus
}

export function toDagStatus(value: unknown): DagStatus {
  const json = object(value)
  const lost = Array.isArray(json.lost) ? json.lost.map((cid) => parseCid(String(cid))) : []
  return { ...(json as unknown as DagStatus), root: parseCid(String(json.root)), lost }
}

export function toPeers(value: unknown): PeerInfo[] {
  return list(object(value).peers) as unknown as PeerInfo[]
}

/** `undefined` for a heartbeat, and for what a newer node says. */
export function toEvent(value: unknown): NodeEvent | undefined {
  const json = object(value)
  switch (json.type) {
    case 'member':
    case 'repair':
    case 'safe':
    case 'log':
      return json as unknown as NodeEvent
    case 'fault':
    case 'block-lost':
      return { ...json, cid: parseCid(String(json.cid)) } as unknown as NodeEvent
    case 'pin':
      return { ...json, root: parseCid(String(json.root)) } as unknown as NodeEvent
    default:
      return undefined
  }
}

export function toProof(value: unknown): ProofResult {
  const json = object(value)
  return { ...(json as unknown as ProofResult), root: parseCid(String(json.root)) }
}

export function toText(value: unknown, key: string): string {
  return String(object(value)[key])
}
