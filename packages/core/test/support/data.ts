/** What the tests of the data half share: members, keys, hashes, and a configuration. */
import { createHash } from 'node:crypto'
import { type BlockKey, blockKey, type PeerId } from '../../src/block.ts'
import { equalBytes, fromHex, toUtf8 } from '../../src/bytes.ts'
import { configure } from '../../src/config.ts'
import { createHolders, type Holders, placeMember } from '../../src/holders.ts'
import type { Member } from '../../src/member.ts'

export const sha256 = (bytes: Uint8Array): Uint8Array =>
  Uint8Array.from(createHash('sha256').update(bytes).digest())

export const CONFIG = configure({})

export function peer(n: number): PeerId {
  return `peer-${n}` as PeerId
}

export function member(n: number, said: Partial<Member> = {}): Member {
  const facts = { addresses: [], capacity: 2 ** 40, zone: undefined, name: undefined, http: undefined }
  return { ...facts, id: peer(n), full: false, version: '1', incarnation: 0, state: 'alive', ...said }
}

/** Members 0 … count - 1, all alive. */
export function holdersOf(count: number, repairDelayMs = 15_000): Holders {
  const holders = createHolders(repairDelayMs)
  for (let n = 0; n < count; n++) placeMember(holders, member(n), 0)
  return holders
}

export function become(holders: Holders, n: number, said: Partial<Member>, nowMs = 0): void {
  placeMember(holders, member(n, said), nowMs)
}

/** The i-th key of a slot, in the order of keys. */
export function keyIn(slot: number, i = 0): BlockKey {
  const digest = slot.toString(16).padStart(4, '0') + i.toString(16).padStart(60, '0')
  return blockKey(fromHex(`1220${digest}`))
}

/** A key that signs as this member, and knows the seals of all. */
export function sealed(id: PeerId) {
  const seal = (by: PeerId, bytes: Uint8Array) =>
    Uint8Array.from([...sha256(toUtf8(by)), ...sha256(bytes)].slice(0, 64))
  return {
    sha256,
    sign: (bytes: Uint8Array) => seal(id, bytes),
    verify: (by: PeerId, bytes: Uint8Array, signature: Uint8Array) => equalBytes(seal(by, bytes), signature)
  }
}
