/**
 * The home of a node as the command sees it, and which nodes a command talks to. Reads three small
 * files only, so that a command that asks a running node never loads one.
 *
 *   HOME/running.json  {pid, url, addresses}: written by `start` when it answers, removed at its end
 *   HOME/token         what the HTTP API asks for
 *   HOME/cluster/nK    the same again, for each node of a cluster on this machine
 */
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { CairnError } from '@cairn/core'

export interface Running {
  pid: number
  /** Of the HTTP API. */
  url: string
  /** Multiaddrs that members dial. */
  addresses: string[]
}

export interface Target {
  url: string
  token: string | undefined
}

export const CLUSTER_FOLDER = 'cluster'
const RUNNING_FILE = 'running.json'

export function homePath(given: string | undefined): string {
  return resolve(given ?? process.env.CAIRN_HOME ?? join(homedir(), '.cairn'))
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}

/** True while a process of that id lives; one of another user counts. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** The node that runs in a home, if its process lives; a file left by a killed one tells nothing. */
export async function readRunning(home: string): Promise<Running | undefined> {
  const text = await readText(join(home, RUNNING_FILE))
  if (text === undefined) return undefined
  const running = parseRunning(text)
  return running !== undefined && (await isNode(running.pid)) ? running : undefined
}

function parseRunning(text: string): Running | undefined {
  try {
    const { pid, url, addresses } = JSON.parse(text) as Partial<Running>
    if (!Number.isInteger(pid) || typeof url !== 'string' || !Array.isArray(addresses)) return undefined
    return { pid: pid as number, url, addresses }
  } catch {
    return undefined // half-written: it is replaced whole, so only a foreign hand leaves it so
  }
}

/** A process id is used again after a reboot; where /proc tells, another program is not taken for a node. */
async function isNode(pid: number): Promise<boolean> {
  if (!isAlive(pid)) return false
  const command = await readText(`/proc/${pid}/cmdline`).catch(() => undefined)
  return command === undefined || command === '' || /cairn|main\.[jt]s/.test(command)
}

export async function writeRunning(home: string, running: Running): Promise<void> {
  const path = join(home, RUNNING_FILE)
  await writeFile(`${path}.new`, `${JSON.stringify(running)}\n`, { mode: 0o600 })
  await rename(`${path}.new`, path)
}

export async function removeRunning(home: string): Promise<void> {
  await rm(join(home, RUNNING_FILE), { force: true })
}

export async function readToken(home: string): Promise<string | undefined> {
  return (await readText(join(home, 'token')))?.trim()
}

/** `n1`, `n2`, …: the nodes of the cluster under a home, running or not. */
export async function clusterHomes(home: string): Promise<{ k: number; home: string }[]> {
  const folder = join(home, CLUSTER_FOLDER)
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return []
    throw error
  })
  return names
    .flatMap((name) =>
      /^n[1-9]\d*$/.test(name) ? [{ k: Number(name.slice(1)), home: join(folder, name) }] : []
    )
    .sort((a, b) => a.k - b.k)
}

async function targetOf(home: string): Promise<Target | undefined> {
  const running = await readRunning(home)
  return running === undefined ? undefined : { url: running.url, token: await readToken(home) }
}

/** The nodes of this home: its own, else all of its cluster's, so that a dead one is passed over. */
export async function localTargets(home: string): Promise<Target[]> {
  const own = await targetOf(home)
  if (own !== undefined) return [own]
  const cluster = await Promise.all((await clusterHomes(home)).map((node) => targetOf(node.home)))
  return cluster.filter((target) => target !== undefined)
}

/**
 * The nodes that a command talks to: those named, else those of the home.
 * @throws CairnError UNREACHABLE, saying how to start one
 */
export async function findTargets(home: string, named: readonly string[]): Promise<Target[]> {
  const local = await localTargets(home)
  if (named.length > 0) return named.map((text) => namedTarget(text, local))
  if (local.length > 0) return local
  throw new CairnError('UNREACHABLE', `no node is running in ${home}`, {
    hint: 'cairn start · or five on this machine: cairn cluster start 5 · or another: --node URL'
  })
}

function namedTarget(text: string, local: readonly Target[]): Target {
  const url = nodeUrl(text)
  const known = local.find((target) => target.url === url)
  return { url, token: process.env.CAIRN_TOKEN ?? known?.token }
}

/** `127.0.0.1:7401` and `http://127.0.0.1:7401/` -> `http://127.0.0.1:7401`. */
export function nodeUrl(text: string): string {
  const withScheme = /^https?:\/\//.test(text) ? text : `http://${text}`
  if (!URL.canParse(withScheme)) {
    throw new CairnError('BAD_REQUEST', `"${text}" is not the address of a node`, {
      hint: 'write it as http://127.0.0.1:7401'
    })
  }
  return new URL(withScheme).origin
}
