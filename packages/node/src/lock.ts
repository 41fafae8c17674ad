/**
 * One process at a time in a home directory, with nothing to clean up after a crash. Holding the lock is
 * having made the highest of the files `lock-1`, `lock-2`, … while living. Taking it over from a dead
 * holder means making the next number: `link` lets exactly one of two rivals do that. Numbers only rise
 * (a clean release keeps the file and marks it free), so a rival that looked long ago can't make an old
 * number the highest again. A plain lock file has no such takeover: whoever deletes a stale one may
 * delete the live one that replaced it a moment before.
 */
import { randomBytes } from 'node:crypto'
import { link, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CairnError } from '@cairn/core'
import { errnoOf, readIfThere } from './files.ts'

/** Rivals that come and go while we look; each lost race means that another start made progress. */
const TRIES_MAX = 100

export interface Lock {
  release(): Promise<void>
}

/** Who holds a lock: a pid means little alone, since pids come round again. */
interface Owner {
  pid: number
  /** Clock ticks since boot when the process began, from /proc; empty where there is no /proc. */
  started: string
  boot: string
}

/** @throws CairnError LOCKED when a living process holds it; the message says which. */
export async function takeLock(home: string): Promise<Lock> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const highest = await highestLock(home)
    const holder = highest === 0 ? undefined : await livingOwner(lockPath(home, highest))
    if (holder !== undefined) throw locked(home, holder)
    const mine = highest + 1
    if (!(await create(home, mine))) continue
    if ((await highestLock(home)) === mine) {
      await removeBelow(home, mine)
      return { release: () => free(home, mine) }
    }
    await rm(lockPath(home, mine), { force: true })
  }
  throw locked(home, undefined)
}

/** The pid of the living process that holds a home, if one does. */
export async function lockHolder(home: string): Promise<number | undefined> {
  const highest = await highestLock(home)
  return highest === 0 ? undefined : (await livingOwner(lockPath(home, highest)))?.pid
}

function locked(home: string, holder: Owner | undefined): CairnError {
  const who = holder === undefined ? 'other processes keep taking it' : `process ${holder.pid} uses it`
  return new CairnError('LOCKED', `${home} is in use: ${who}`, {
    hint: 'stop that node first, or give this one another directory with --home'
  })
}

const lockPath = (home: string, number: number) => join(home, `lock-${number}`)

async function lockNumbers(home: string): Promise<number[]> {
  const names = await readdir(home)
  return names.map((name) => Number(/^lock-(\d+)$/.exec(name)?.[1] ?? 0)).filter((number) => number > 0)
}

async function highestLock(home: string): Promise<number> {
  return (await lockNumbers(home)).reduce((most, number) => Math.max(most, number), 0)
}

async function removeBelow(home: string, mine: number): Promise<void> {
  for (const number of await lockNumbers(home)) {
    if (number < mine) await rm(lockPath(home, number), { force: true })
  }
}

/** Makes the file with its content at once, or says that another was first. */
async function create(home: string, number: number): Promise<boolean> {
  const beside = await draft(home, await self())
  try {
    await link(beside, lockPath(home, number))
    return true
  } catch (cause) {
    if (errnoOf(cause) === 'EEXIST') return false
    throw cause
  } finally {
    await rm(beside, { force: true })
  }
}

async function free(home: string, number: number): Promise<void> {
  await rename(await draft(home, undefined), lockPath(home, number))
}

async function draft(home: string, owner: Owner | undefined): Promise<string> {
  const path = join(home, `.lock.${randomBytes(6).toString('hex')}`)
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(owner === undefined ? '{}\n' : `${JSON.stringify(owner)}\n`)
  } finally {
    await file.close()
  }
  return path
}

async function self(): Promise<Owner> {
  return { pid: process.pid, started: await startOf(process.pid), boot: await bootId() }
}

/** The owner that a lock file names, if that process still runs. A free or unreadable file has none. */
async function livingOwner(path: string): Promise<Owner | undefined> {
  const owner = parseOwner(await readIfThere(path))
  if (owner === undefined || owner.boot !== (await bootId())) return undefined
  const started = await startOf(owner.pid)
  if (owner.started !== '') return started === owner.started ? owner : undefined
  return exists(owner.pid) ? owner : undefined
}

function parseOwner(content: Buffer | undefined): Owner | undefined {
  const [pid, started, boot] = ['pid', 'started', 'boot'].map((field) => fieldOf(content, field))
  if (typeof pid !== 'number' || typeof started !== 'string' || typeof boot !== 'string') return undefined
  return { pid, started, boot }
}

function fieldOf(content: Buffer | undefined, field: string): unknown {
  try {
    return (JSON.parse(content?.toString() ?? '{}') as Record<string, unknown>)[field]
  } catch {
    return undefined // cut short by a power failure: the boot that wrote it is over
  }
}

/** When a process began (/proc/PID/stat, field 22); empty when it is gone, or without /proc. */
async function startOf(pid: number): Promise<string> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? '' : (fields[19] ?? '')
  } catch {
    return '' // no such process, or no /proc: `exists` decides then
  }
}

async function bootId(): Promise<string> {
  return (await readIfThere('/proc/sys/kernel/random/boot_id'))?.toString().trim() ?? ''
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    return errnoOf(cause) === 'EPERM'
  }
}
