/**
 * What `createNode` takes: checked strictly, since a misspelt key that is silently ignored is a setting
 * that the owner believes in. Defaults that depend on the machine (capacity) are decided once, here.
 */
import { statfs } from 'node:fs/promises'
import { CairnError, REPLICAS_MAX } from '@cairn/core'
import { z } from 'zod'

/** A loopback port of the system's choice: nothing is open to others unless told. */
export const LISTEN_DEFAULT: readonly string[] = ['/ip4/127.0.0.1/tcp/0']
const LISTEN_MAX = 16
const PORT_MAX = 65_535
const NAME_LENGTH_MAX = 64
/** Typing errors this far from a known key still get a suggestion. */
const SUGGESTION_EDITS_MAX = 3
/** Of what is free on the disk, so that a node never fills it unasked. */
const FREE_SHARE = 0.5

const label = z
  .string()
  .min(1)
  .max(NAME_LENGTH_MAX)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is kept out
  .regex(/^[^\u0000-\u001f\u007f-\u009f]*$/, 'no control characters')

const options = z.strictObject({
  home: z.string().min(1),
  create: z
    .strictObject({ open: z.boolean(), replicas: z.int().min(1).max(REPLICAS_MAX).optional() })
    .optional(),
  join: z.string().min(1).optional(),
  mdns: z.boolean().optional(),
  listen: z.array(z.string().startsWith('/')).min(1).max(LISTEN_MAX).optional(),
  /** For bulk by TLS, beside the port of `listen`: 0 is one of the system's choice, false none. */
  bulkPort: z.union([z.int().min(0).max(PORT_MAX), z.literal(false)]).optional(),
  capacity: z.int().positive().optional(),
  zone: label.optional(),
  name: label.optional(),
  config: z.record(z.string(), z.number()).optional()
})

export type NodeOptions = z.infer<typeof options>

/**
 * Checks what the caller of `createNode` gave. @param configKeys the keys that `config` may have
 * @throws CairnError BAD_CONFIG that names the key, and the nearest known one
 */
export function checkOptions(given: unknown, configKeys: readonly string[]): NodeOptions {
  const checked = options.safeParse(given)
  if (!checked.success) throw refuse(checked.error.issues)
  for (const key of Object.keys(checked.data.config ?? {})) {
    if (!configKeys.includes(key)) throw unknownKey(`config.${key}`, key, configKeys)
  }
  const { create, join } = checked.data
  if (create !== undefined && join !== undefined) {
    throw new CairnError('BAD_CONFIG', 'a node either creates a network or joins one', {
      hint: 'leave out `create` or `join`'
    })
  }
  return checked.data
}

/** A misspelt key comes first: that another is missing is often the same mistake. */
function refuse(issues: readonly z.core.$ZodIssue[]): CairnError {
  const misspelt = issues.find((one) => one.code === 'unrecognized_keys')
  const issue = misspelt ?? (issues[0] as z.core.$ZodIssue)
  const path = issue.path.join('.')
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0] as string
    const known = Object.keys(issue.path[0] === 'create' ? CREATE_KEYS : options.shape)
    return unknownKey(path === '' ? key : `${path}.${key}`, key, known)
  }
  return new CairnError('BAD_CONFIG', `${path === '' ? 'options' : path}: ${issue.message}`)
}

const CREATE_KEYS = { open: true, replicas: true }

function unknownKey(shown: string, key: string, known: readonly string[]): CairnError {
  const near = nearest(key, known)
  const hint = near === undefined ? `known: ${known.join(', ')}` : `did you mean "${near}"?`
  return new CairnError('BAD_CONFIG', `unknown option "${shown}"`, { hint })
}

/** The known word that takes the fewest edits to reach, if that is few enough to be a slip. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((one) => ({ one, edits: edits(word.toLowerCase(), one.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits)
  const best = ranked[0]
  const limit = Math.min(SUGGESTION_EDITS_MAX, Math.ceil(word.length / 2))
  return best !== undefined && best.edits <= limit ? best.one : undefined
}

/** Levenshtein's distance, one row at a time. */
function edits(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const swap = (row[j - 1] as number) + (from[i - 1] === to[j - 1] ? 0 : 1)
      next.push(Math.min(swap, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[to.length] as number
}

/** Half of what is free on the disk of `path`, bytes, for a node that was told nothing. */
export async function defaultCapacity(path: string): Promise<number> {
  const disk = await statfs(path)
  return Math.floor(disk.bavail * disk.bsize * FREE_SHARE)
}
