/**
 * Bugs planted on purpose, to see that the checks find them: each is one change of the source's text, made
 * while it is loaded, in a thread of its own. No build has them, and no check knows of them.
 */

export interface Mutant {
  name: string
  /** Below `packages/`. */
  file: string
  /** Stands there exactly once. */
  find: string
  put: string
}

const SHELL = 'simulator/src/bulk.ts'

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'a receipt before the sync',
    file: SHELL,
    find: 'synced(cluster, to, () => answer(items))',
    put: 'answer(items); synced(cluster, to, () => undefined)'
  },
  {
    name: 'what is written is not verified',
    file: SHELL,
    find: "if (bytes && !isGood) return 'refused'",
    put: ''
  },
  {
    name: 'repair from a corrupt copy',
    file: SHELL,
    find: "if (!isGood) return told(key, 'corrupt')",
    put: [
      "if (!isGood && purpose === 'read') return told(key, 'corrupt')",
      'if (!isGood) {',
      '  write(diskOf(cluster, node), key, { ...block, claims: sharedClaims(block.claims), corrupt: true })',
      "  return synced(cluster, node, () => told(key, 'held'))",
      '}'
    ].join('\n')
  },
  {
    name: 'what is read is not verified',
    file: SHELL,
    find: "if (!isGood) return told(key, 'corrupt')",
    put: "if (!isGood && purpose === 'repair') return told(key, 'corrupt')"
  },
  {
    name: 'the cap is not kept',
    file: SHELL,
    find: 'if (!known && !hasRoom(disk)) {',
    put: 'if (!known && disk.limit < 0) {'
  },
  {
    name: 'a promise from the index',
    file: 'simulator/src/release.ts',
    find: 'if (block?.corrupt === true) quarantine(cluster, node, key)\n    const one',
    put: 'const one'
  },
  {
    name: 'a second claim is not kept',
    file: 'simulator/src/disk.ts',
    find: 'mergeClaims(known?.claims ?? disk.collected.get(key) ?? [], claims)',
    put: '(known?.claims ?? [...claims])'
  },
  {
    name: 'a forgotten refutation',
    file: 'core/src/view.ts',
    find: 'announce(state, { ...own, incarnation: said.incarnation + 1 }, nowMs)',
    put: ''
  },
  {
    name: 'a suspicion never ends',
    file: 'core/src/membership.ts',
    find: 'if (dueMs <= nowMs) bury(state, { id, incarnation }, nowMs)\n    else',
    put: 'if (dueMs > nowMs)'
  },
  {
    name: 'those of two sides of a cut never meet',
    file: 'core/src/join.ts',
    find: 'if (joined && candidate.peer === undefined && isKnown(state, candidate.addresses)) continue',
    put: 'if (joined) continue'
  },
  {
    name: 'a place is never given away',
    file: 'core/src/holders.ts',
    find: 'if (nowMs < holders.brake.untilMs) return',
    put: 'if (nowMs >= 0) return'
  },
  {
    name: 'a full member counts as a holder with room',
    file: 'core/src/holders.ts',
    find: 'return own?.living === true && !own.full &&',
    put: 'return own?.living === false &&'
  },
  {
    name: 'one that leaves keeps its places',
    file: 'core/src/holders.ts',
    find: "const living = isLiving(member.state) && member.state !== 'leaving'",
    put: 'const living = isLiving(member.state)'
  },
  {
    name: 'leaving without handing over',
    file: 'core/src/safety.ts',
    find: 'if (!isDone) add(left, value)',
    put: ''
  },
  {
    name: 'status counts those that lack the block',
    file: 'core/src/safety.ts',
    find: 'const isWhole = (id: PeerId) => id === state.self || isInSync(state, id, place)',
    put: 'const isWhole = (_id: PeerId) => true'
  },
  {
    name: 'a changed view is not looked at',
    file: 'core/src/reconcile.ts',
    find: 'for (const [place, value] of state.mine) look(state, holders, place, value)',
    put: ''
  },
  {
    name: 'settled is said of whatever is offered',
    file: 'core/src/reconcile.ts',
    find: 'if (has || peer.covered.get(place) === value.fingerprint) alike.push(value)',
    put: 'if (has || place >= 0) alike.push(value)'
  },
  {
    name: 'edge-triggered repair: what was listed once is taken for held',
    file: 'core/src/listing.ts',
    find: 'if (missing) {',
    put: 'if (missing && listing.pages === 0) {'
  },
  {
    name: 'fingerprints without claims',
    file: 'core/src/fingerprint.ts',
    find: 'parts.push(multihashOf(key), toUtf8(claimsDigest(claims, sha256)))',
    put: 'parts.push(multihashOf(key), toUtf8(claimsDigest(claims.slice(0, 0), sha256)))'
  },
  {
    name: 'any answer is a receipt',
    file: 'core/src/write.ts',
    find: "if (outcome === 'held') block.receipts.add(transfer.to)",
    put: "if (outcome !== 'absent') block.receipts.add(transfer.to)"
  },
  {
    name: 'half of the receipts are enough for all',
    file: 'core/src/write.ts',
    find: 'reason: block.receipts.size >= block.wanted ? undefined',
    put: 'reason: block.receipts.size * 2 >= block.wanted ? undefined'
  },
  {
    name: 'let go on N - 1 promises',
    file: 'core/src/release.ts',
    find: 'if (own.promised.size < own.replicas) continue',
    put: 'if (own.promised.size < own.replicas - 1) continue'
  },
  {
    name: 'absence read as garbage: what a holder lacks, it lets another let go of',
    file: 'core/src/release.ts',
    find: 'if (own === undefined) unpromised.absent.push(copy)',
    put: 'if (own === undefined) keys.push(copy.key)'
  },
  {
    name: 'one claim that ended ends them all',
    file: 'core/src/claim.ts',
    find: 'claims.length > 0 && claims.every(({ live }) => !live)',
    put: 'claims.some(({ live }) => !live)'
  },
  {
    name: 'what was collected is forgotten',
    file: 'simulator/src/collect.ts',
    find: 'collect(disk, key, [...sharedClaims(block.claims)])',
    put: ''
  }
]
