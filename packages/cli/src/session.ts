/**
 * One run of a command: its global options with the settings behind them, its output, the signal that
 * Ctrl-C and --timeout give, and the client of the nodes that it talks to.
 */
import type { Client, RefKey } from '@cairn/client'
import { CairnError } from '@cairn/core'
import type { Command } from 'commander'
import { EXIT, reportFailure } from './failure.ts'
import { findTargets, homePath, type Target } from './home.ts'
import { readSeed } from './keys.ts'
import { createOutput, type Output, type Streams } from './output.ts'
import { readSettings, type Settings } from './settings.ts'

export interface GlobalOptions {
  home?: string
  node?: string[]
  key?: string
  json?: boolean
  quiet?: boolean
  timeout?: number
  direct?: boolean
  color?: boolean
}

export interface Session {
  readonly home: string
  readonly out: Output
  readonly settings: Settings
  /** Aborted by Ctrl-C, SIGTERM and --timeout, with the reason. */
  readonly signal: AbortSignal
  /** @throws CairnError UNREACHABLE when no node runs here and none was named */
  targets(): Promise<Target[]>
  client(): Promise<Client>
}

/** What main hands to every command, and gets back. */
export interface Program {
  streams: Streams
  exit: number
}

/** Ends a command that a signal stopped. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
  readonly exit: number
  constructor(exit: number) {
    super('stopped')
    this.exit = exit
  }
}

export interface ActOptions {
  /** stdout carries content, so errors never go there, `--json` or not. */
  stdoutIsContent?: (command: Command) => boolean
}

/** Makes of what a command does the action that commander calls; a number returned is the exit code. */
export function act(
  program: Program,
  run: (session: Session, command: Command) => Promise<number | undefined>,
  options: ActOptions = {}
): (...given: unknown[]) => Promise<void> {
  return async (...given) => {
    const command = given.at(-1) as Command
    const globals = command.optsWithGlobals<GlobalOptions>()
    const out = outputOf(program.streams, globals)
    const stop = interruptible()
    try {
      const session = await openSession(globals, out, stop.signal)
      program.exit = (await run(session, command)) ?? EXIT.ok
    } catch (error) {
      program.exit = endOf(error, stop.signal, () =>
        reportFailure(error, out, { stdoutIsContent: options.stdoutIsContent?.(command) === true })
      )
    } finally {
      out.live.clear()
      stop.release()
    }
  }
}

function endOf(error: unknown, signal: AbortSignal, report: () => number): number {
  if (signal.aborted && signal.reason instanceof Interrupted) return signal.reason.exit
  if ((error as NodeJS.ErrnoException)?.code === 'EPIPE') return EXIT.ok // `| head` has had enough
  return report()
}

export function outputOf(streams: Streams, globals: GlobalOptions): Output {
  return createOutput(streams, {
    json: globals.json === true,
    quiet: globals.quiet === true,
    color: globals.color !== false
  })
}

/** The first signal asks the command to end, a second ends it where it stands. */
function interruptible(): { signal: AbortSignal; release(): void } {
  const controller = new AbortController()
  const stop = (exit: number): void => {
    if (controller.signal.aborted) process.exit(exit)
    controller.abort(new Interrupted(exit))
  }
  const onInt = (): void => stop(EXIT.interrupted)
  const onTerm = (): void => stop(EXIT.terminated)
  process.on('SIGINT', onInt).on('SIGTERM', onTerm).on('SIGHUP', onTerm)
  return {
    signal: controller.signal,
    release: () => process.off('SIGINT', onInt).off('SIGTERM', onTerm).off('SIGHUP', onTerm)
  }
}

async function openSession(globals: GlobalOptions, out: Output, stopped: AbortSignal): Promise<Session> {
  const home = homePath(globals.home)
  const settings = await readSettings(home)
  const timeoutMs = globals.timeout ?? settings.timeout
  const signal =
    timeoutMs === undefined ? stopped : AbortSignal.any([stopped, AbortSignal.timeout(timeoutMs)])
  const named = globals.node ?? namedByEnvironment() ?? settings.node ?? []
  let targets: Promise<Target[]> | undefined
  const session: Session = {
    home,
    out,
    settings,
    signal,
    targets() {
      targets ??= findTargets(home, named)
      return targets
    },
    async client() {
      const name = globals.key ?? (process.env.CAIRN_KEY || undefined)
      const key = name === undefined ? undefined : await keyOf(home, name)
      const direct = globals.direct !== false && process.env.CAIRN_DIRECT !== '0'
      return clientOf(await session.targets(), { key, direct })
    }
  }
  return session
}

function namedByEnvironment(): string[] | undefined {
  const names = (process.env.CAIRN_NODE ?? '').split(/[\s,]+/).filter((name) => name !== '')
  return names.length === 0 ? undefined : names
}

async function keyOf(home: string, name: string): Promise<RefKey> {
  const { refKey } = await import('@cairn/client')
  return refKey(await readSeed(home, name))
}

/** One client over several nodes, each with a token of its own: the first that answers serves. */
export async function clientOf(
  targets: readonly Target[],
  { key, direct }: { key?: RefKey | undefined; direct?: boolean } = {}
): Promise<Client> {
  const { createClient } = await import('@cairn/client')
  const urls = targets.map(({ url, token }) => (token === undefined ? url : { url, token }))
  const how = direct === undefined ? {} : { direct }
  return createClient({ urls, ...how, ...(key === undefined ? {} : { key }) })
}

/** A flag, else its environment variable (commander reads both), else the settings. */
export function setting<K extends keyof Settings>(
  session: Session,
  command: Command,
  key: K
): Settings[K] | undefined {
  return (command.opts()[key] as Settings[K] | undefined) ?? session.settings[key]
}

/** For a value that a command cannot do without. */
export function need<T>(value: T | undefined, message: string, hint: string): T {
  if (value === undefined) throw new CairnError('BAD_REQUEST', message, { hint })
  return value
}
