/**
 * A mirror's last whole root as a ref of its own: a first record under another key or name, which its own
 * node alone votes on, so that it needs nobody. Of what it came is kept in its metadata through every later
 * update; that it stands alone, until its owner shares it.
 */
import type { PeerId } from './block.ts'
import { METADATA_MAX, type RefBody, type RefMetadata, type RefRecord } from './ref.ts'

/** Names the one member that votes on a ref that stands alone. */
const ALONE = 'alone'
/** Begins the keys that tell of what a ref came. */
export const LINEAGE_PREFIX = 'promoted.'

/** The one who votes on the ref, where that was chosen. */
export function standsAlone({ metadata }: Pick<RefBody, 'metadata'>): PeerId | undefined {
  return metadata.find(({ key }) => key === ALONE)?.value as PeerId | undefined
}

export interface Promotion {
  owner: PeerId
  name: string
  /** The member that has the root whole. */
  self: PeerId
  from: RefRecord
  /** What is known of where it comes from, and of what lies beyond it; keys with the prefix. */
  lineage: RefMetadata
}

/** The first record of a promoted ref, to be signed by its owner. */
export function promotedBody({ owner, name, self, from, lineage }: Promotion): RefBody {
  const { network, root, replicas, lifetimeMs, keep, metadata } = from
  const told = [...lineage, { key: ALONE, value: self }]
  const rest = metadata.filter(({ key }) => !isKept(key)).slice(0, METADATA_MAX - told.length)
  return {
    ...{ network, owner, name, root, replicas, lifetimeMs, keep },
    ...{ epoch: 0, since: 1, sequence: 1, predecessors: [], history: [] },
    ...{ electorate: [self], voters: [[self]] },
    metadata: [...rest, ...told]
  }
}

function isKept(key: string): boolean {
  return key === ALONE || key.startsWith(LINEAGE_PREFIX)
}

/** Metadata of the next record: as wanted, with what tells of its origin, and whether it stands alone. */
export function metadataAfter(
  before: RefMetadata,
  { metadata, share = false }: { metadata?: RefMetadata | undefined; share?: boolean }
): RefMetadata {
  const kept = before.filter(({ key }) => isKept(key) && !(share && key === ALONE))
  const rest = (metadata ?? before).filter(({ key }) => !isKept(key))
  return [...rest.slice(0, METADATA_MAX - kept.length), ...kept]
}
