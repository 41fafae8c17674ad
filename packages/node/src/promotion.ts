/**
 * A mirror becomes a primary: its last whole root, claimed for a new ref on this disk first, then that ref's
 * first record, on which this node alone votes. Nobody else is needed, so it works while the old primary and
 * all others are away; what is known to lie beyond it is said, and kept with it.
 */
import {
  CairnError,
  checkRefName,
  encodeRefBody,
  LINEAGE_PREFIX,
  type Mirror,
  mirrorLag,
  type PeerId,
  promotedBody,
  refId,
  signRef
} from '@cairn/core'
import { CID } from 'multiformats/cid'
import type { PromoteAsked, Promoted, Promotion } from './api-mirrors.ts'
import type { RefView } from './api-refs.ts'
import { monotonicMs } from './runtime.ts'
import type { Shell } from './shell.ts'

/** What is being let go of ends by then, or the promotion is given up. A large index takes seconds. */
const STEADY_MS = 60_000
const LOOK_MS = 20
/** Roots beyond the promoted one that are named in its metadata: they fit a value of 512 bytes. */
const BEYOND_NAMED_MAX = 7

type RefName = { owner: PeerId; name: string }

/** @throws NOT_FOUND, BAD_REQUEST, BUSY */
export async function promote(
  shell: Shell,
  mirror: Mirror,
  { name = mirror.ref.name, owner = shell.id }: PromoteAsked
): Promise<Promotion> {
  const next = { owner, name: checkRefName(name) }
  const { id } = mirror
  shell.dispatch({ type: 'mirror-hold', id, held: true })
  try {
    const [known] = await Promise.all([
      shell.refs.get(mirror.ref),
      isNew(shell, mirror.ref, next),
      steady(mirror)
    ])
    const { whole } = mirror
    if (whole === undefined) {
      throw new CairnError('NOT_FOUND', `nothing of ${mirror.ref.name} is whole here yet`, {
        hint: 'cairn mirror ls shows how far it has come'
      })
    }
    const from = lineageOf(shell, mirror, known)
    const lineage = written(from)
    const body = promotedBody({ ...next, self: shell.id, from: whole.record, lineage })
    if (owner !== shell.id) return { type: 'draft', body: encodeRefBody(body), from }
    const record = signRef(body, shell.crypto)
    const outcome = await shell.refs.propose(record.bytes)
    if (outcome.type !== 'acknowledged') {
      throw new CairnError('REF_CONFLICT', `${name} was not promoted: ${outcome.type}`, {
        hint: 'another name is free for sure: --name'
      })
    }
    const ref = await shell.refs.get(next)
    if (ref === undefined) throw new TypeError('a ref that was acknowledged here is not known here')
    return { type: 'promoted', ref, from }
  } finally {
    shell.dispatch({ type: 'mirror-hold', id, held: false })
  }
}

/** A ref that exists is updated, not made again. */
async function isNew(shell: Shell, old: RefName, next: RefName): Promise<void> {
  const same = refId(next, shell.crypto.sha256) === refId(old, shell.crypto.sha256)
  if (!same && (await shell.refs.get(next)) === undefined) return
  throw new CairnError('BAD_REQUEST', `there is a ${next.name} of that owner already`, {
    hint: 'give the new one another name or key: --name, --key'
  })
}

/** Until nothing is being kept or let go of: a fetch may go on, what is whole stays. */
async function steady(mirror: Mirror): Promise<void> {
  const untilMs = monotonicMs() + STEADY_MS
  while (mirror.phase === 'keeping' || mirror.phase === 'freeing') {
    if (monotonicMs() > untilMs) {
      throw new CairnError('BUSY', 'the mirror is still letting go of what it had before', {
        hint: 'try again in a minute'
      })
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}

function lineageOf({ core }: Shell, mirror: Mirror, known: RefView | undefined): Promoted {
  const { record } = mirror.whole as NonNullable<Mirror['whole']>
  const lag = mirrorLag(mirror, monotonicMs() - core.stalledMs)
  const past = known === undefined ? [] : [known, ...known.history]
  const beyond = past
    .filter(({ sequence }) => known?.epoch !== record.epoch || sequence > record.sequence)
    .map(({ sequence, root }) => (root === undefined ? { sequence } : { sequence, root }))
    .sort((a, b) => a.sequence - b.sequence)
  return {
    ...mirror.ref,
    epoch: record.epoch,
    sequence: record.sequence,
    root: CID.decode(record.root as Uint8Array),
    record: record.hash,
    behind: {
      updates: lag.updates ?? 0,
      ms: Math.round(lag.ms),
      ...(lag.heardMs === undefined ? {} : { heardMs: Math.round(lag.heardMs) }),
      beyond,
      begun: known?.rivals.length ?? 0
    }
  }
}

/** As it stays with the ref. */
function written({ owner, name, epoch, sequence, record, behind }: Promoted) {
  const { beyond, ...numbers } = behind
  const named = beyond.slice(-BEYOND_NAMED_MAX).map((past) => `${past.sequence} ${past.root ?? 'removed'}`)
  const entries = {
    ...{ owner, name, at: `${epoch}.${sequence}`, record },
    ...{ behind: JSON.stringify(numbers), beyond: named.join(', ') }
  }
  return Object.entries(entries).map(([key, value]) => ({ key: `${LINEAGE_PREFIX}${key}`, value }))
}
