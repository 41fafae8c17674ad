/**
 * Which files are tests. A test is a TypeScript file below packages/<name>/test or test/ that imports
 * 'uvu' itself; any other file there is help for the tests that import it. Directories named `fixtures`
 * are never looked into: what lies there may be broken on purpose.
 */
import { type Dirent, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

/** A file that declares nothing gets this long. Ten times what the slowest unit test takes: a guess. */
const LIMIT_DEFAULT_S = 60
/** The most that a file may declare, so that one hang never eats the time of a whole run. */
const LIMIT_MAX_S = 600
/** Only the head of a file is searched for its limit. */
const HEAD_CHARS = 2_000
const NEVER_SEARCHED = new Set(['node_modules', 'fixtures', 'dist', 'node24'])

export interface TestFile {
  /** Relative to the root, with forward slashes. */
  path: string
  limitMs: number
  /** Crosses packages, starts nodes in processes of their own: nothing else runs beside it. */
  exclusive: boolean
  /** Why it can't be run as it stands. */
  problem?: string
}

/** All TypeScript files below the test directories, whether tests or what tests import; sorted. */
export function filesBelowTests(root: string): string[] {
  const found: string[] = []
  for (const name of childrenOf(join(root, 'packages'))) {
    if (name.isDirectory()) collect(join(root, 'packages', name.name, 'test'), found)
  }
  collect(join(root, 'test'), found)
  return found.map((path) => relative(root, path).replaceAll('\\', '/')).sort()
}

/** The tests among them. */
export function findTests(root: string): TestFile[] {
  return filesBelowTests(root)
    .filter((path) => importsUvu(readFileSync(join(root, path), 'utf8')))
    .map((path) => describe(root, path))
}

export function importsUvu(source: string): boolean {
  return /^import\s[^'"]*['"]uvu['"]/m.test(source)
}

/**
 * A test as the runner needs it. On a line of its own near the top, `// limit: 300 s` asks for more time, and
 * `// beside others` says of one below test/ that it minds no load.
 */
export function describe(root: string, path: string): TestFile {
  const head = readFileSync(join(root, path), 'utf8').slice(0, HEAD_CHARS)
  const seconds = Number(/^\/\/ limit: (\d+) s$/m.exec(head)?.[1] ?? LIMIT_DEFAULT_S)
  const exclusive = path.startsWith('test/') && !/^\/\/ beside others$/m.test(head)
  const file: TestFile = { path, limitMs: seconds * 1_000, exclusive }
  if (seconds <= LIMIT_MAX_S) return file
  return {
    ...file,
    problem: `declares a limit of ${seconds} s; ${LIMIT_MAX_S} s is the most: split the file`
  }
}

function collect(directory: string, found: string[]): void {
  for (const entry of childrenOf(directory)) {
    const path = join(directory, entry.name)
    if (entry.isDirectory() && !NEVER_SEARCHED.has(entry.name)) collect(path, found)
    else if (entry.isFile() && entry.name.endsWith('.ts')) found.push(path)
  }
}

function childrenOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [] // a package without tests yet
    throw error
  }
}
