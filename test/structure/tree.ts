/** The project's files as the structure tests read them, and how those tests fail: what, why, what to do. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** DESIGN.md's arrows: what each package may import of the others. A change here is a change of design. */
export const ARROWS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  blocks: ['core'],
  store: ['core', 'blocks'],
  node: ['core', 'blocks', 'store'],
  gateway: ['core', 'blocks', 'store', 'node'],
  client: ['core', 'blocks'],
  cli: ['core', 'blocks', 'store', 'node', 'gateway', 'client'],
  simulator: ['core', 'blocks', 'store']
}
export const PACKAGES = Object.keys(ARROWS)

const NOT_OURS = new Set(['node_modules', 'dist', '.git', '.cairn'])

export interface Manifest {
  name: string
  exports?: Record<string, Record<string, string>>
  dependencies?: Record<string, string>
  devDependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
  files?: string[]
  bin?: Record<string, string>
}

export function textOf(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

export function manifestOf(directory: string): Manifest {
  return JSON.parse(textOf(join(directory, 'package.json'))) as Manifest
}

/** Files below a directory, relative to the root, sorted; none when there is no such directory. */
export function filesBelow(directory: string, ending = ''): string[] {
  return walk(directory)
    .filter((path) => path.endsWith(ending))
    .sort()
}

function walk(directory: string): string[] {
  let entries: ReturnType<typeof list>
  try {
    entries = list(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  return entries.flatMap((entry) => {
    const path = directory === '' ? entry.name : `${directory}/${entry.name}`
    if (NOT_OURS.has(entry.name)) return []
    if (entry.isDirectory()) return walk(path)
    return entry.isFile() ? [path] : []
  })
}

function list(directory: string) {
  return readdirSync(join(ROOT, directory), { withFileTypes: true })
}

/** Passes when nothing was found; else lists all of it, and says why it matters and what to do. */
export function none(found: readonly string[], why: string): void {
  if (found.length === 0) return
  const error = new Error(`${why}\n      ${found.join('\n      ')}`)
  error.stack = why // where this was thrown is no help, and uvu would print the list twice
  throw error
}
