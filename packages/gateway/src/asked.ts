/** What a request asks for, checked: bodies, query and path of every route. */

import { parseCid } from '@cairn/blocks'
import { CairnError, isRefName, type PeerId, REF_NAME_BYTES_MAX } from '@cairn/core'
import type { PutOptions } from '@cairn/node'
import type { CID } from 'multiformats/cid'
import { z } from 'zod'

/** CIDs of one `keep`: a claim for each is written before the answer. */
export const KEEP_CIDS_MAX = 8_192
/** CIDs of one `blocks`: the answer is at most as many blocks. */
export const BLOCKS_CIDS_MAX = 256
/** A CID as text is about 60 characters, a sha2-512 one 115; with slack for the quotes. */
const CID_CHARS_MAX = 160
export const KEEP_BODY_BYTES_MAX = KEEP_CIDS_MAX * CID_CHARS_MAX
export const BLOCKS_BODY_BYTES_MAX = BLOCKS_CIDS_MAX * CID_CHARS_MAX + 1_024
export const SMALL_BODY_BYTES_MAX = 16 * 1024
/** Copies that may be asked for; placement knows no use for more. A guess. */
const REPLICAS_MAX = 64

const cidList = (max: number) =>
  z.strictObject({ cids: z.array(z.string().max(CID_CHARS_MAX)).min(1).max(max) })
const KEEP = cidList(KEEP_CIDS_MAX)
const BLOCKS = cidList(BLOCKS_CIDS_MAX).extend({
  /** Of what ref they are, so that its mirrors are asked too: `OWNER/NAME`. */
  ref: z
    .string()
    .regex(/^12D3[1-9A-HJ-NP-Za-km-z]{48}\/[^/]+$/)
    .max(52 + 1 + REF_NAME_BYTES_MAX)
    .optional()
})
const COUNT = z.number().int().nonnegative()
const FINISH = z.strictObject({
  root: z.string().max(CID_CHARS_MAX),
  /** As long as a path may be (PATH_MAX). */
  name: z.string().max(4_096).optional(),
  digests: z.string().max(CID_CHARS_MAX).optional(),
  bytes: COUNT,
  blocks: COUNT
})
const PUT = z.strictObject({
  replicas: z.coerce.number().int().min(1).max(REPLICAS_MAX).optional(),
  ack: z.enum(['all', 'quorum', 'one']).optional(),
  receipts: z.enum(['0', '1']).optional()
})

export function askedToKeep(body: unknown): CID[] {
  return check(KEEP, body).cids.map(parseCid)
}

export interface Blocks {
  cids: CID[]
  ref: { owner: PeerId; name: string } | undefined
}

export function askedBlocks(body: unknown): Blocks {
  const { cids, ref } = check(BLOCKS, body)
  const [owner, name] = ref?.split('/') ?? []
  const named = owner !== undefined && name !== undefined && isRefName(name)
  return { cids: cids.map(parseCid), ref: named ? { owner: owner as PeerId, name } : undefined }
}

export interface Finish {
  root: CID
  about: { name?: string; digests?: CID; bytes: number; blocks: number }
}

export function askedToFinish(body: unknown): Finish {
  const { root, name, digests, bytes, blocks } = check(FINISH, body)
  const named = name === undefined ? {} : { name }
  const checked = digests === undefined ? {} : { digests: parseCid(digests) }
  return { root: parseCid(root), about: { bytes, blocks, ...named, ...checked } }
}

export function askedPut(query: URLSearchParams): PutOptions {
  const { replicas, ack, receipts } = check(PUT, Object.fromEntries(query))
  return {
    ...(replicas === undefined ? {} : { replicas }),
    ...(ack === undefined ? {} : { ack }),
    ...(receipts === '1' ? { receipts: true } : {})
  }
}

/** Members that a question supposes lost, and characters of each: a zone's 32, an id's 64. */
const LOSSES_MAX = 256
const LOSS_CHARS_MAX = 5 + 64
const LOSSES = z.array(z.string().max(LOSS_CHARS_MAX)).max(LOSSES_MAX)

/** `?without=node:a&without=zone:x`. @throws BAD_REQUEST */
export function askedLosses(query: URLSearchParams): { without?: string[] } {
  return query.has('without') ? { without: check(LOSSES, query.getAll('without')) } : {}
}

/** @throws BAD_REQUEST */
export function askedReplicas(query: URLSearchParams): { replicas?: number } {
  const { replicas } = check(PUT.pick({ replicas: true }), {
    ...(query.has('replicas') ? { replicas: query.get('replicas') } : {})
  })
  return replicas === undefined ? {} : { replicas }
}

/** @throws BAD_REQUEST */
export function askedUpload(id: string | undefined): string {
  if (id !== undefined && /^[0-9a-f]{32}$/.test(id)) return id
  throw new CairnError('BAD_REQUEST', 'not the id of an upload', {
    hint: 'choose 32 hexadecimal digits at random'
  })
}

/** @throws BAD_REQUEST */
export function askedTypes(query: URLSearchParams): ReadonlySet<string> | undefined {
  const types = query.get('types')
  return types === null ? undefined : new Set(types.split(','))
}

export function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const where = issue?.path.join('.') || 'the request'
  throw new CairnError('BAD_REQUEST', `${where}: ${issue?.message ?? 'not understood'}`, {
    hint: 'see the HTTP API for what this route takes'
  })
}
