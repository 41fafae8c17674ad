/**
 * The knobs and limits of the data: how long writes, reads and comparisons wait, and how much of each
 * may be under way. Times are milliseconds, sizes bytes or blocks, as their names say.
 */
export const DATA_DEFAULTS = {
  /**
   * With no answer for this long at least, while others answer, the next in the order is asked to stand in.
   * So a member that stops costs a put less than a second. Above a turn of a busy node's loop, and its sync.
   */
  standInLeastMs: 400,
  /** With no answer for this long, always. Above a group commit's p99. */
  standInAfterMs: 1_500,
  /** With nobody else left, a member whose transfer broke off is tried again after this, then twice this … */
  resendAfterMs: 1_000,
  /** A put that has not its receipts after this fails, naming the blocks that are short. */
  putTimeoutMs: 60_000,
  /** A read from a member that has sent nothing for this long is also asked of the next one. */
  hedgeAfterMs: 400,
  /**
   * A repair of which a member has sent nothing for so long at least is asked of another too: see `pace.ts`.
   * Above a group commit behind a stalled disk. Half of `fetchTimeoutMs` is the most.
   */
  repairHedgeMs: 2_000,
  /** A read that nobody has answered after this fails. */
  readTimeoutMs: 30_000,
  /**
   * A fetch that has moved nothing for this long is cancelled. The transport notices what stalls long before;
   * this bounds what it misses. 2 MiB at 256 kbit/s take 66 s.
   */
  fetchTimeoutMs: 120_000,
  /** A block seen to be missing may be on its way by direct mail: it is fetched only after this. */
  settleMs: 2_000,
  /** Between turns at comparing with one member. */
  compareIntervalMs: 250,
  /** A member that has not seen our latest changes is compared with at least this often. */
  compareChangedMs: 1_000,
  /** Each member that shares slots is compared with at least this often, even with nothing changed. */
  compareIdleMs: 5_000,
  /** A comparison that is not answered within this is given up, and begun again in its turn. */
  compareTimeoutMs: 5_000,
  /** A block that could not be fetched is tried again after this, doubled each time, … */
  retryMs: 1_000,
  /** … up to this. */
  retryMaxMs: 30_000,
  /**
   * A copy held besides is let go of only after this: who is away comes back, and a spare copy saves a
   * repair (Carbonite, NSDI 2006). A guess: four repair delays.
   */
  releaseAfterMs: 60_000,
  /** Between attempts at letting go, each of `releaseKeys` at most: the budget of deleting. A guess. */
  releaseIntervalMs: 1_000,
  /** An attempt that has not its promises by then is over: the promisers may read all of it first. */
  releaseTimeoutMs: 20_000,
  /** A slot of which some copy was not promised is left alone for so long. */
  releaseRetryMs: 30_000,
  /** Between audits that a member begins, of each that it shares slots with in turn: see `audit.ts`. */
  auditIntervalMs: 300_000,
  /**
   * What nobody claims any more is kept for so long, as far as this run of a holder knows: `rm` was a
   * mistake.
   */
  collectGraceMs: 600_000,
  /** An upload that nobody has gone on with for so long is over: what it claimed is let go of. A guess. */
  uploadIdleMs: 86_400_000,
  /** Between looks at what has ended, and rounds of asking about `collectKeys` of it. A guess. */
  collectIntervalMs: 2_000,
  /** A round that is not answered within this is over. */
  collectTimeoutMs: 10_000,
  /** Between rounds of telling the holders of what was collected, while they stay the same. A guess. */
  collectedTellMs: 3_600_000
}

export const DATA_LIMITS = {
  /** Members looked at past N for one that can stand in. */
  standIns: 8,
  /** Second tries of broken transfers in one put: in all some 15 s, by when the dead are known. */
  resends: 4,
  /** Members asked for a block before a read gives up: N and those past it. */
  readBreadth: 32,
  /** Keys in one fetch from one member. */
  fetchKeys: 64,
  /** Blocks asked of one member and not yet received: 2 MiB each at most. */
  fetchWindow: 64,
  /** Blocks that repair may have under way in all, and their bytes; reads are not counted. */
  repairWindow: 512,
  repairWindowBytes: 16 * 1024 * 1024,
  /** And while people are served: one large block, or what small ones share a sync for. See `ration.ts`. */
  busyWindowBytes: 1024 * 1024,
  /** Wants whose sources are all busy, in one look at those that may start. */
  repairsPassed: 64,
  /** Missing blocks remembered; the next comparison finds the rest again. */
  repairQueue: 8_192,
  /** Of those, the ones that any one member told of: one that makes blocks up does not crowd out the rest. */
  repairQueuePerSource: 4_096,
  /** Rounds of asking everyone for a missing block, until it is left to the next comparison to find again. */
  repairAttempts: 6,
  /** Slots in one message of a comparison, and in one offer: at 35 bytes each at most, under 64 KiB. */
  slotsPerMessage: 1_800,
  /** Groups of 256 slots that one round goes into, and spans of slots in one message: eight in each. */
  groupsPerRound: 32,
  spansPerMessage: 256,
  /** Marks in one message: at 7 bytes each, under 64 KiB. */
  marksPerMessage: 8_192,
  /** Members up to which each is compared with, whether or not anything here is shared with it yet. */
  compareAll: 64,
  /** Places remembered of one member: as differing, changed, covered, listed. Twice all slots at one N. */
  placesPerMember: 131_072,
  /** Blocks of one member whose other claims we took, remembered so as not to take them again. */
  claimsPerMember: 8_192,
  /** Slots waiting for their keys to be listed. */
  listQueue: 4_096,
  /** Slots in one message that asks for their keys, and keys to be expected in answer, as far as is known. */
  slotsListed: 256,
  keysExpected: 2_048,
  /** Marks of own keys in such a message, bytes: with the rest of it under 64 KiB. */
  haveBytes: 32 * 1024,
  /** Slots being listed from one member at a time. */
  listsPerMember: 512,
  /** Keys on one page of a listing. */
  pageKeys: 256,
  /** Pages, and keys on all of them, in one message: at 166 and 80 bytes each at most, under 64 KiB. */
  pagesPerMessage: 128,
  keysPerMessage: 512,
  /** Keys told in answer to one message: what is left out is asked for again. Some 200 kB. */
  keysTold: 4_096,
  /** Questions for keys being read for others, and for any one; one beyond is dropped and comes again. */
  listsServed: 64,
  listsServedPerMember: 4,
  /** Pages of one listing: a million keys. A slot of more is not one of an honest member. */
  pagesPerListing: 4_096,
  /** Comparisons, offers, surveys and inquiries taken from one member in a second; it begins some eight. */
  questionsPerSecond: 32,
  /** Copies in one attempt at letting go, and slots looked into for them. */
  releaseKeys: 64,
  /** Of one request, bytes as estimated: within a message. */
  releaseBytes: 48 * 1024,
  /** Claims of a copy that is asked about: with more it is kept. */
  releaseClaims: 1_024,
  /** Requests of others whose copies are being verified here, and of any one. */
  releaseChecks: 16,
  releaseChecksPerMember: 4,
  /** Blocks that one round of collecting asks about, and one message of it. */
  collectKeys: 32,
  /** Blocks whose claims ended: listed at once, and remembered. */
  endedListed: 256,
  endedKnown: 65_536,
  /** Blocks of one member whose claims are to be asked for, and those asked for at once. */
  claimsQueue: 8_192,
  claimsKeys: 128,
  /** Blocks in one message that tells of claims: 74 bytes each at most. */
  claimedTold: 256,
  /** Such messages of others that wait for the disk, and of any one. */
  claimsTold: 64,
  claimsToldPerMember: 8,
  /** Keys of one inquiry. */
  inquiryKeys: 512,
  /** Members that a question supposes lost: their ids fit a message. */
  lossMembers: 256
} as const

export type DataConfig = Readonly<typeof DATA_DEFAULTS>
