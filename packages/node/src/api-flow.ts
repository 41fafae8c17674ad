/** Blocks that pass through a node, as an application, the gateway and tests see them. */

export interface Flow {
  /** Bytes in memory now, of puts, until the last transfer of each is over. */
  puttingBytes: number
  /** Bytes in memory now, pushed by members, and not yet on the disk. */
  receivingBytes: number
  /** Bytes in memory now, read for members that fetch them, and not yet taken by the system. */
  readingBytes: number
  /** Sent to members that fetch them, since the start. */
  servedBytes: number
  /** Sent to members that are to hold them, since the start. */
  pushedBytes: number
  /** Sent here by members because this one is to hold them, since the start. */
  receivedBytes: number
  /** Given by members that were asked for them, since the start. */
  fetchedBytes: number
  /** Calls that push blocks to a member or fetch some of one, now. */
  transfers: number
  /** What repair brought to this disk, since the start. */
  repaired: { blocks: number; bytes: number }
  /**
   * Blocks asked of members for readers, since the start; of these, of one more because the first was later
   * than 19 of 20 are, and because it was silent or had it not.
   */
  asked: { first: number; hedged: number; again: number }
}
