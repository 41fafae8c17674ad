/**
 * Every knob of the core with its default, unit and provenance, and every limit on what peers may send
 * or make us remember. `configure` rejects combinations that cannot work.
 */

import { DATA_DEFAULTS } from './limits.ts'

export const DEFAULTS = {
  ...DATA_DEFAULTS,

  /** Copies of every block. Three survive two losses inside one repair window. */
  replicas: 3,
  /** A block that lacks one copy waits this long, so that a restart moves nothing. DESIGN.md, Urgency. */
  repairDelayMs: 15_000,

  /** Between probes of one random member (SWIM's protocol period; memberlist's LAN value). */
  probeIntervalMs: 1_000,
  /** For a direct ack before others are asked. Above the p99 round trip between sites. */
  probeTimeoutMs: 400,
  /** Members asked to probe in our place (SWIM's k; §3.1 shows 3 to suffice). */
  indirectProbes: 3,
  /** Own slowness stretches probes up to this factor (Lifeguard §4.1: S = 8). */
  healthFactorMax: 8,

  /**
   * Suspect to dead once confirmed: `min = suspicionMinMs * max(1, log10(members))`. Room for two
   * refutations in a row to be lost. Lifeguard's alpha (§4.2) of 2.5 at an interval of 1 s.
   */
  suspicionMinMs: 2_500,
  /**
   * Suspect to dead with nobody else agreeing: `max = suspicionMaxFactor * min`; after c confirmations
   * of k wanted: `max - (max - min) * log(c + 1) / log(k + 1)`. Lifeguard's beta; 5 keeps a lone
   * observer's verdict within 15 s at five members.
   */
  suspicionMaxFactor: 5,
  /** Confirmations after which `min` applies: `k = min(confirmations, floor((members - 1) / 2))`. */
  confirmations: 3,

  /** A rumour rides on `ceil(rumourFactor * log2(members + 1))` messages (SWIM's lambda, §4.1). */
  rumourFactor: 3,
  /** Fresh rumours are also sent by themselves, this often, … (memberlist: 200 ms) */
  newsIntervalMs: 250,
  /** … to this many random members (memberlist: 3). */
  newsPeers: 3,

  /**
   * Between exchanges of differing tables that a member starts: `exchangeIntervalMs * max(1,
   * log10(members))`. A guess: at 10,000 members, where there is always some difference, 3 kB in 4 s.
   */
  exchangeIntervalMs: 1_000,
  /** Between attempts to reach one random dead member, so that a healed partition rejoins. A guess. */
  retryDeadMs: 5_000,
  /** After this a dead member is forgotten and would return as new. */
  forgetMs: 7 * 24 * 3_600_000,
  /** Later than this at an appointment with ourselves, we were stalled and our evidence is void. */
  gapMs: 1_000,

  /** Before a joiner dials an address again; doubles up to `joinRetryMaxMs`. */
  joinRetryMs: 1_000,
  joinRetryMaxMs: 60_000,
  /** Between writings of the members' addresses to disk. */
  keepIntervalMs: 30_000
}

export type Config = Readonly<typeof DEFAULTS>

/** What one member may say about itself, and what we remember of all. Peers that exceed it are malformed. */
export const MEMBER_LIMITS = {
  peerIdChars: 64,
  addresses: 8,
  addressChars: 128,
  zoneChars: 32,
  nameChars: 40,
  httpChars: 128,
  versionChars: 20,
  signatureBytes: 64,
  /** No member gets here by itself: at one refutation a second it would take 8 million years. */
  incarnation: 2 ** 48,
  /** Remembered, dead ones included. Twice the size that DESIGN.md plans for. */
  members: 20_000
} as const

export const GOSSIP_LIMITS = {
  /** Any membership message, encoded. */
  messageBytes: 16 * 1024,
  /** Of rumours on one message: with the rest it fits one packet of an Ethernet. */
  rumourBytes: 1_200,
  /** Rumours waiting; the most often told are dropped first. */
  rumours: 4_096,
  /** Probes of ours that wait for an answer at one time. */
  probes: 16,
  /** Members waiting to be probed out of turn. */
  urgent: 1_024,
  /** Probes that we run for others at one time. */
  relays: 256,
  /** Table entries' bytes on one page; a full message keeps room for what is wanted in return. */
  pageBytes: 12 * 1024,
  /** Pages sent for one summary before the other must ask again. */
  pages: 4,
  /** Members listed on one summary, at 8 bytes each, and wanted on one page, at 5. */
  summaryItems: 1_500,
  wants: 512,
  /** Addresses and peers that we try to join through. */
  candidates: 1_024,
  /** Dials begun by one tick. */
  dials: 8,
  /** Messages from one peer in a second; reliability.md section 4. */
  messagesPerSecond: 100,
  /** Peers whose messages are counted. */
  meters: 4_096,
  /** Open connections that we keep account of. */
  connections: 4_096,
  /** Members in a `keep` action. */
  kept: 256
} as const

function must(holds: boolean, what: string): void {
  if (!holds) throw new RangeError(what)
}

/** Fills in defaults and rejects combinations that cannot work. @throws RangeError */
export function configure(overrides: Partial<Config> = {}): Config {
  const config = { ...DEFAULTS, ...overrides }
  for (const [name, value] of Object.entries(config)) {
    must(Number.isFinite(value) && value >= 0, `${name} must be a number that is not negative`)
  }
  must(Number.isInteger(config.replicas) && config.replicas >= 1 && config.replicas <= 32, 'replicas: 1 … 32')
  must(config.probeTimeoutMs > 0, 'probeTimeoutMs must be positive')
  must(
    config.probeTimeoutMs * 2 < config.probeIntervalMs,
    'probeTimeoutMs must be below half of probeIntervalMs: asking others takes as long again'
  )
  must(
    config.suspicionMinMs >= 2 * config.probeIntervalMs,
    'suspicionMinMs must leave two probe intervals to refute'
  )
  must(config.suspicionMaxFactor >= 1, 'suspicionMaxFactor must be at least 1')
  must(config.healthFactorMax >= 1, 'healthFactorMax must be at least 1')
  must(config.newsIntervalMs > 0 && config.exchangeIntervalMs > 0, 'intervals must be positive')
  must(config.retryDeadMs > 0 && config.keepIntervalMs > 0, 'intervals must be positive')
  must(config.gapMs >= config.probeTimeoutMs, 'gapMs must not be below probeTimeoutMs')
  must(config.joinRetryMs > 0 && config.joinRetryMs <= config.joinRetryMaxMs, 'joinRetryMs … joinRetryMaxMs')
  must(config.forgetMs > config.repairDelayMs, 'forgetMs must be above repairDelayMs')
  return Object.freeze(config)
}
