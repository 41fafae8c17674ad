/**
 * A node's home directory: identity, network, settings, token and kept addresses, each a small file, and
 * `store/`. Secrets are 0600 in a directory of 0700. One process at a time (`lock.ts`); a home written
 * by a newer cairn is refused rather than misread.
 */
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { CairnError, NETWORK_ID_BYTES, type PeerId, REPLICAS_MAX } from '@cairn/core'
import { z } from 'zod'
import { keepPrivate, makeDirectory, readIfThere, writeWhole } from './files.ts'
import { type Identity, openIdentity, readIdentity } from './identity.ts'
import { lockHolder, takeLock } from './lock.ts'
import { nameOf } from './names.ts'
import type { Network } from './network.ts'

/** Of the files in a home. A higher one was written by a newer cairn. */
const HOME_VERSION = 1
const TOKEN_BYTES = 32
/** Addresses kept for a restart: any one living member is enough. */
const KEPT_MEMBERS_MAX = 1_000

const version = { version: z.literal(HOME_VERSION) }

const networkFile = z.object({
  ...version,
  id: z.string().regex(new RegExp(`^[0-9a-f]{${2 * NETWORK_ID_BYTES}}$`)),
  open: z.boolean(),
  replicas: z.int().min(1).max(REPLICAS_MAX),
  secret: z.string().optional()
})

const settingsFile = z.object({
  ...version,
  listen: z.array(z.string()),
  /** Bytes. */
  capacity: z.int().positive(),
  zone: z.string().optional(),
  name: z.string(),
  incarnation: z.int().min(0)
})

const membersFile = z.object({
  ...version,
  members: z.array(z.object({ id: z.string(), addresses: z.array(z.string()) }))
})

const runningFile = z.object({ pid: z.int(), url: z.string(), addresses: z.array(z.string()) })

/** What a node keeps of how it was started, so that a restart needs no arguments. */
export interface Settings {
  listen: string[]
  capacity: number
  zone?: string | undefined
  name: string
  incarnation: number
}

/** A member seen before, and where. */
export interface KeptMember {
  id: PeerId
  addresses: string[]
}

/** Written by whoever serves a node over HTTP, for commands to find it. */
export interface Running {
  pid: number
  url: string
  addresses: string[]
}

export interface Home {
  readonly path: string
  /** The store's directory; made by the store. */
  readonly store: string
  readonly identity: Identity
  /** Bearer token of the HTTP API. */
  readonly token: string
  network(): Promise<Network | undefined>
  saveNetwork(network: Network): Promise<void>
  settings(): Promise<Settings | undefined>
  saveSettings(settings: Settings): Promise<void>
  members(): Promise<KeptMember[]>
  saveMembers(members: readonly KeptMember[]): Promise<void>
  /** Gives the directory back to others. */
  release(): Promise<void>
}

/**
 * Takes a home for this process; makes what is missing of directory, key and token.
 * @throws CairnError LOCKED, NEWER_VERSION, BAD_CONFIG
 */
export async function openHome(path: string): Promise<Home> {
  const home = resolve(path)
  await makeDirectory(home)
  await keepPrivate(home)
  const lock = await takeLock(home)
  try {
    await readRecord(home, 'node.json', settingsFile)
    const identity = await openIdentity(join(home, 'identity.key'))
    const token = await openToken(join(home, 'token'))
    return {
      path: home,
      store: join(home, 'store'),
      identity,
      token,
      network: () => readNetwork(home, true),
      saveNetwork: (network) => writeRecord(home, 'network.json', network),
      settings: () => readRecord(home, 'node.json', settingsFile),
      saveSettings: (settings) => writeRecord(home, 'node.json', settings),
      members: async () =>
        ((await readRecord(home, 'members.json', membersFile))?.members ?? []) as KeptMember[],
      saveMembers: (members) =>
        writeRecord(home, 'members.json', { members: members.slice(0, KEPT_MEMBERS_MAX) }),
      release: () => lock.release()
    }
  } catch (cause) {
    await lock.release()
    throw cause
  }
}

async function openToken(path: string): Promise<string> {
  const kept = await readIfThere(path)
  if (kept === undefined) {
    const token = randomBytes(TOKEN_BYTES).toString('base64url')
    await writeWhole(path, `${token}\n`)
    return token
  }
  await keepPrivate(path)
  const token = kept.toString().trim()
  if (token.length >= TOKEN_BYTES) return token
  throw new CairnError('BAD_CONFIG', `${path} holds no token`, {
    hint: 'delete the file; a start makes a new one'
  })
}

async function readNetwork(home: string, guard: boolean): Promise<Network | undefined> {
  const kept = await readRecord(home, 'network.json', networkFile)
  if (kept === undefined) return undefined
  if (guard) await keepPrivate(join(home, 'network.json'))
  const { id, open, replicas, secret } = kept
  return { id, open, replicas, ...(secret === undefined ? {} : { secret }) }
}

async function writeRecord(home: string, name: string, record: object): Promise<void> {
  await writeWhole(
    join(home, name),
    `${JSON.stringify({ version: HOME_VERSION, ...record }, undefined, 2)}\n`
  )
}

async function readRecord<T>(home: string, name: string, form: z.ZodType<T>): Promise<T | undefined> {
  const path = join(home, name)
  const content = await readIfThere(path)
  if (content === undefined) return undefined
  const record = parseJson(content, path)
  const said = (record as { version?: unknown } | null)?.version
  if (typeof said === 'number' && said > HOME_VERSION) {
    throw new CairnError(
      'NEWER_VERSION',
      `${path} is of version ${said}; this cairn reads up to ${HOME_VERSION}`,
      {
        hint: 'run the newer cairn that wrote it'
      }
    )
  }
  const checked = form.safeParse(record)
  if (checked.success) return checked.data
  const issue = checked.error.issues[0] as z.core.$ZodIssue
  throw damaged(path, `${issue.path.join('.')}: ${issue.message}`)
}

function parseJson(content: Buffer, path: string): unknown {
  try {
    return JSON.parse(content.toString())
  } catch (cause) {
    throw damaged(path, 'not JSON', cause)
  }
}

function damaged(path: string, why: string, cause?: unknown): CairnError {
  return new CairnError('BAD_CONFIG', `${path} is damaged (${why})`, {
    cause,
    hint: 'restore it from a backup'
  })
}

export async function writeRunning(home: string, running: Running): Promise<void> {
  await writeWhole(join(home, 'running.json'), `${JSON.stringify(running)}\n`)
}

export async function removeRunning(home: string): Promise<void> {
  await rm(join(home, 'running.json'), { force: true })
}

/** What a command needs to know of a home, running or not. */
export interface HomeFacts {
  id: PeerId
  name: string
  network: { id: string; open: boolean; replicas: number } | undefined
  /** Of the living process that holds the home. */
  pid?: number
  /** Of its HTTP API. */
  url?: string
  addresses?: string[]
  token: string
}

/** Looks at a home without taking it. Undefined when no node was ever started there. */
export async function readHome(path: string): Promise<HomeFacts | undefined> {
  const home = resolve(path)
  const identity = await readIdentity(join(home, 'identity.key'))
  const token = (await readIfThere(join(home, 'token')))?.toString().trim()
  if (identity === undefined || token === undefined) return undefined
  const network = await readNetwork(home, false)
  const settings = await readRecord(home, 'node.json', settingsFile)
  return {
    id: identity.id,
    name: settings?.name ?? nameOf(identity.id),
    network: network && { id: network.id, open: network.open, replicas: network.replicas },
    ...(await readRunning(home)),
    token
  }
}

async function readRunning(home: string): Promise<Partial<Running>> {
  const pid = await lockHolder(home)
  if (pid === undefined) return {}
  const content = await readIfThere(join(home, 'running.json'))
  const said = content && runningFile.safeParse(parseJson(content, join(home, 'running.json')))
  // Left by a process that was killed: the one that lives now has not written its own yet.
  if (said === undefined || !said.success || said.data.pid !== pid) return { pid }
  return said.data
}
