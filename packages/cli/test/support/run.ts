/** Runs the command as a person does: its own file, its own process, a home of its own. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const COMMAND = fileURLToPath(new URL('../../bin/cairn.mjs', import.meta.url))

export interface Ended {
  exit: number | null
  stdout: string
  stderr: string
}

export interface RunOptions {
  env?: Record<string, string>
  stdin?: string | Uint8Array
}

/** The command's environment: nothing of the tester's own settings, colours or nodes. */
export function cleanEnv(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([key]) => !/^(CAIRN_|NO_COLOR|FORCE_COLOR)/.test(key))
  return { ...Object.fromEntries(kept), ...extra }
}

export function cairn(args: readonly string[], { env = {}, stdin }: RunOptions = {}): Promise<Ended> {
  const child = spawn(process.execPath, [COMMAND, ...args], { env: cleanEnv(env) })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  child.stdin.on('error', () => {}) // a command that refuses its arguments never reads it
  child.stdin.end(stdin)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exit) => {
      resolve({ exit, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() })
    })
  })
}

/** Gives a directory that is gone at the end, however that comes. */
export async function inTempFolder(use: (path: string) => Promise<void>): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), 'cairn-cli-'))
  try {
    await use(path)
  } finally {
    await rm(path, { recursive: true, force: true })
  }
}

/** The JSON objects of a text, one a line. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}
