/**
 * Runs one test file in a process of its own and decides whether it passed. uvu 0.5.6 exits with 0 when
 * a hook throws, when `.run()` is forgotten, and hangs on an open handle, so its exit code alone proves
 * nothing: a file passed when it ended by itself with 0, printed one summary in which Passed = Total > 0
 * and nothing was skipped, and left no process, port or file behind.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { TestFile } from './find.ts'
import { describeLeft, killAll, type Left, networkNamespaces, type Owner, processesOf } from './leaks.ts'

export interface RunOptions {
  root: string
  /** The Node that runs the file. */
  node: string
  /** How long a file may live after uvu's summary. */
  lingerMs?: number
  /** Called with the pid once the file runs, so that an interrupted run can end it. */
  onStart?: (owner: Owner) => void
}

export interface Outcome {
  name: string
  passed: number
  failed: number
  /** Why each skipped test was. */
  skipped: string[]
  seconds: number
  /** Why it failed; empty when it passed. */
  problems: string[]
  output: string
}

/** A process lives 1.0 s after `libp2p.stop()` (measured); ten times that on a loaded machine. */
const LINGER_MS = 10_000
/** For a killed child to leave the process table, and for output to arrive. */
const SETTLE_MS = 1_500
const SETTLE_STEP_MS = 25
/** The end of a file's output that is kept. */
const OUTPUT_CHARS_MAX = 1_000_000

const SUMMARY = /\n {2}Total: +(\d+)\n {2}Passed: +(\d+)\n {2}Skipped: +(\d+)\n {2}Duration: /g

interface End {
  code: number | null
  signal: NodeJS.Signals | null
  /** Set when the runner ended it. */
  stopped?: 'limit' | 'linger'
  /** What was alive, the file's own process apart, when it ended. */
  left: Left[]
  /** What its own process listened on when it was stopped. */
  ports: string[]
}

/** What is left of a test apart from processes. */
interface Traces {
  files: string[]
  namespaces: string[]
}

export async function runFile(file: TestFile, options: RunOptions): Promise<Outcome> {
  const startedMs = performance.now()
  const tmp = mkdtempSync(join(tmpdir(), 'cairn-t-'))
  const namespaces = new Set(networkNamespaces())
  const output = { text: '' }
  const child = start(file, options, tmp)
  const owner = { pid: child.pid ?? 0, tmp }
  options.onStart?.(owner)
  const end = await ending(child, owner, output, file.limitMs, options.lingerMs ?? LINGER_MS)
  const files = emptied(tmp)
  // with another test beside it, a new namespace could be either's
  const made = file.exclusive ? networkNamespaces().filter((name) => !namespaces.has(name)) : []
  const seconds = (performance.now() - startedMs) / 1_000
  return judge(file, end, { files, namespaces: made }, output.text, seconds)
}

function start(file: TestFile, { node, root }: RunOptions, tmp: string): ChildProcess {
  const env: NodeJS.ProcessEnv = {}
  for (const [name, value] of Object.entries(process.env)) {
    // the user's own settings must not reach a test, nor colours what is parsed below
    if (!name.startsWith('CAIRN_') && name !== 'FORCE_COLOR') env[name] = value
  }
  env.PATH = [dirname(node), env.PATH].join(delimiter)
  env.NO_COLOR = '1'
  env.NODE_DISABLE_COMPILE_CACHE = '1' // npm keeps one in TMPDIR, which must be empty in the end
  env.TMPDIR = tmp
  env.CAIRN_HOME = join(tmp, 'no-home-was-given') // never the user's own node
  return spawn(node, ['--conditions=cairn-src', file.path], {
    cwd: root,
    env,
    detached: true, // a process group of its own, to be killed as one
    stdio: ['ignore', 'pipe', 'pipe']
  })
}

async function ending(
  child: ChildProcess,
  owner: Owner,
  output: { text: string },
  limitMs: number,
  lingerMs: number
): Promise<End> {
  const end: End = { code: null, signal: null, left: [], ports: [] }
  let linger: NodeJS.Timeout | undefined
  const stop = (why: 'limit' | 'linger'): void => {
    end.stopped = why
    const alive = processesOf(owner)
    end.left = alive.filter(({ pid }) => pid !== owner.pid)
    end.ports = alive.find(({ pid }) => pid === owner.pid)?.ports ?? []
    killAll(alive)
  }
  const append = (text: string): void => {
    output.text = (output.text + text).slice(-OUTPUT_CHARS_MAX)
    if (linger === undefined && summaries(output.text).length > 0)
      linger = setTimeout(stop, lingerMs, 'linger')
  }
  child.stdout?.setEncoding('utf8').on('data', append)
  child.stderr?.setEncoding('utf8').on('data', append)
  const limit = setTimeout(stop, limitMs, 'limit')
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
  await new Promise<void>((resolve) => {
    child.once('error', (error) => {
      append(`${error.message}\n`)
      resolve()
    })
    child.once('exit', (code, signal) => {
      Object.assign(end, { code, signal })
      resolve()
    })
  })
  clearTimeout(limit)
  clearTimeout(linger)
  if (child.pid === undefined) return end
  const left = await settled(owner)
  if (end.stopped === undefined) end.left = left
  await Promise.race([closed, delay(SETTLE_MS, undefined, { ref: false })])
  return end
}

/** Gives processes that were told to end a moment to do so; returns, and kills, those that did not. */
async function settled(owner: Owner): Promise<Left[]> {
  const untilMs = performance.now() + SETTLE_MS
  let left = processesOf(owner)
  while (left.length > 0 && performance.now() < untilMs) {
    await delay(SETTLE_STEP_MS)
    left = processesOf(owner)
  }
  killAll(left)
  return left
}

/** Removes the file's TMPDIR and returns what was left in it. */
function emptied(tmp: string): string[] {
  mkdirSync(tmp, { recursive: true })
  const left = readdirSync(tmp)
  try {
    rmSync(tmp, { recursive: true, force: true, maxRetries: 5 })
  } catch (error) {
    left.push(`something that can't be removed: ${(error as Error).message}`)
  }
  return left
}

function summaries(output: string): { total: number; passed: number; skipped: number }[] {
  return [...output.matchAll(SUMMARY)].map(([, total, passed, skipped]) => ({
    total: Number(total),
    passed: Number(passed),
    skipped: Number(skipped)
  }))
}

function judge(file: TestFile, end: End, traces: Traces, output: string, seconds: number): Outcome {
  const all = summaries(output)
  const { total, passed } = all.at(-1) ?? { total: 0, passed: 0 }
  const skipped = [...output.matchAll(/SKIPPED: (.+)/g)].map(([, why]) => why as string)
  const problems = [...howItEnded(file, end, all.length > 0), ...whatItSaid(all), ...whatItLeft(end, traces)]
  if (file.problem !== undefined) problems.push(file.problem)
  const failed = problems.length === 0 ? 0 : Math.max(1, total - passed)
  return {
    name: file.path,
    passed: Math.max(0, passed - skipped.length),
    failed,
    skipped,
    seconds,
    problems,
    output
  }
}

function howItEnded(file: TestFile, end: End, summed: boolean): string[] {
  const open = end.ports.length === 0 ? '' : `; it listens on ${end.ports.join(', ')}`
  if (end.stopped === 'linger' || (end.stopped === 'limit' && summed)) {
    return [`did not end after its last test: something is left open (a server, a timer, a child)${open}`]
  }
  if (end.stopped === 'limit') {
    const more = 'find what never settles, or declare more with `// limit: N s`'
    return [`not done after ${file.limitMs / 1_000} s: ${more}${open}`]
  }
  if (end.signal !== null) return [`was ended by ${end.signal}`]
  return end.code === 0 ? [] : [`exited with ${end.code ?? 'nothing: it could not be started'}`]
}

function whatItSaid(all: { total: number; passed: number; skipped: number }[]): string[] {
  if (all.length === 0)
    return ['printed no summary: no suite called `.run()`, or it ended before its last test']
  if (all.length > 1) return ['printed two summaries: call every `.run()` before the first `await`']
  const { total, passed, skipped } = all[0] as { total: number; passed: number; skipped: number }
  const problems: string[] = []
  if (total === 0) problems.push('ran no test: does every suite call `.run()`?')
  if (passed < total) problems.push(`${total - passed} of ${total} tests failed`)
  if (skipped > 0) problems.push(`uvu skipped ${skipped} tests: \`.only\` or \`.skip\` was left in`)
  return problems
}

function whatItLeft({ left, stopped }: End, { files, namespaces }: Traces): string[] {
  const when = stopped === undefined ? 'left behind' : 'had running'
  const problems = left.map((process) => `${when} ${describeLeft(process)}`)
  if (files.length > 0) problems.push(`left in its TMPDIR: ${files.join(', ')}`)
  if (namespaces.length > 0) problems.push(`left the network namespaces ${namespaces.join(', ')}`)
  return problems
}
