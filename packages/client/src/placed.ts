/** Members as a node tells them, as placement takes them: who holds what follows from these alone. */
import { isLiving, type PlacedMember, weightOf } from '@cairn/core'
import type { PeerInfo } from './types.ts'

/** Those that have a place, as in core's `placeMember`. */
export function hasPlace({ state }: PeerInfo): boolean {
  return isLiving(state) && state !== 'leaving'
}

export function placedOf({ id, capacity, zone }: PeerInfo): PlacedMember {
  return { id, weight: weightOf(capacity), zone: zone ?? undefined }
}
