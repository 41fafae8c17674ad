/**
 * The knobs and limits of the data: how long writes, reads and comparisons wait, and how much of each
 * may be under way. Times are milliseconds, sizes bytes or blocks, as their names say.
 */
export const DATA_DEFAULTS = {
  /** With no answer for this long, the next in the order is asked to stand in. Above a group commit's p99. */
  standInAfterMs: 1_500,
  /** A put that has not its receipts after this fails, naming the blocks that are short. */
  putTimeoutMs: 60_000,
  /** A read from a member that has sent nothing for this long is also asked of the next one. */
  hedgeAfterMs: 400,
  /** A read that nobody has answered after this fails. */
  readTimeoutMs: 30_000,
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
  retryMaxMs: 30_000
}

export const DATA_LIMITS = {
  /** Members looked at past N for one that can stand in. */
  standIns: 8,
  /** Members asked for a block before a read gives up: N and those past it. */
  readBreadth: 32,
  /** Keys in one fetch from one member. */
  fetchKeys: 64,
  /** Blocks asked of one member and not yet received: 2 MiB each at most. */
  fetchWindow: 64,
  /** Blocks that repair may have under way in all; reads are not counted. */
  repairWindow: 32,
  /** Missing blocks remembered; the next comparison finds the rest again. */
  repairQueue: 8_192,
  /** Slots in one message of a comparison, and in one offer. */
  slotsPerMessage: 2_048,
  /** Groups of 256 slots that one round goes into. */
  groupsPerRound: 4,
  /** Slots waiting for their keys to be listed. */
  listQueue: 4_096,
  /** Slots being listed from one member at a time. */
  listsPerMember: 8,
  /** Keys on one page of a listing. */
  pageKeys: 256,
  /** Pages being served to others; a request beyond is dropped and comes again. */
  pagesServed: 64,
  /** Keys of one inquiry. */
  inquiryKeys: 512
} as const

export type DataConfig = Readonly<typeof DATA_DEFAULTS>
