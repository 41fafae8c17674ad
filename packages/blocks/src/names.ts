/** Which names a directory may hold, here and when a stranger's directory is read. */
import { CairnError } from '@cairn/core'

/** Directories inside one another. PATH_MAX allows more on Linux; nobody was seen to use a quarter. */
export const NESTING_MAX = 256

/** @throws CairnError with `code` when no directory may hold `name` */
export function checkName(name: string, code: 'BAD_NAME' | 'UNSAFE_PATH'): void {
  const why = badName(name)
  if (why === undefined) return
  throw new CairnError(code, `${JSON.stringify(name.slice(0, 100))} is no name for a file: ${why}`, {
    hint: code === 'BAD_NAME' ? 'rename the file' : 'do not trust whoever made this directory'
  })
}

function badName(name: string): string | undefined {
  if (name === '') return 'it is empty'
  if (name === '.' || name === '..') return 'it means another directory'
  if (name.includes('/')) return 'it holds a slash'
  if (name.includes('\0')) return 'it holds a NUL'
  if (!name.isWellFormed()) return 'it holds half a character'
  return undefined
}
