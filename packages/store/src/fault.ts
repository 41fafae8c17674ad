/**
 * What the operating system's refusals mean for a store. Room, files and write permission may come back,
 * so those are typed and retried; anything else that a disk says is a failed disk.
 */
import { systemCode } from '@cairn/blocks/fs'
import { CairnError, type ErrorCode } from '@cairn/core'

const MEANINGS: Record<string, ErrorCode> = {
  ENOSPC: 'FULL', // no blocks, or no inodes
  EDQUOT: 'FULL',
  EFBIG: 'FULL', // RLIMIT_FSIZE; Node ignores the SIGXFSZ that comes with it
  EROFS: 'READ_ONLY',
  EMFILE: 'TOO_MANY_FILES',
  ENFILE: 'TOO_MANY_FILES'
}

/** LevelDB hands on strerror's words, not the number. */
const WORDS: readonly (readonly [string, keyof typeof MEANINGS])[] = [
  ['No space left on device', 'ENOSPC'],
  ['Disk quota exceeded', 'EDQUOT'],
  ['File too large', 'EFBIG'],
  ['Read-only file system', 'EROFS'],
  ['Too many open files', 'EMFILE']
]

const HINTS: Partial<Record<ErrorCode, string>> = {
  FULL: 'Make room on the disk, or raise its quota. Reads and deletes go on; writes resume by themselves.',
  READ_ONLY: 'Mount the file system for writing. Reads go on.',
  TOO_MANY_FILES: 'Raise the limit on open files (`ulimit -n`).',
  DISK_FAILED: 'Look at the system log for errors of the disk. The other members hold what this one held.'
}

/** The CairnError for an error of the file system or of the index; one that already is stays as it is. */
export function fault(cause: unknown, doing: string): CairnError {
  if (CairnError.is(cause)) return cause
  const code = meaning(cause)
  const hint = HINTS[code] ?? ''
  return new CairnError(code, `${doing}: ${cause instanceof Error ? cause.message : String(cause)}`, {
    cause,
    hint
  })
}

function meaning(cause: unknown): ErrorCode {
  for (let error = cause; error instanceof Error; error = error.cause) {
    const typed = MEANINGS[systemCode(error) ?? '']
    if (typed !== undefined) return typed
    const words = WORDS.find(([text]) => (error as Error).message.includes(text))
    if (words !== undefined) return MEANINGS[words[1]] as ErrorCode
  }
  return 'DISK_FAILED'
}

export function fullError(capacity: number): CairnError {
  return new CairnError('FULL', `the store has reached its ${capacity} bytes`, {
    hint: 'Nothing is lost: the other members take what is new. Raise the capacity to take more here.'
  })
}

/** True for the errno `code`, wherever in the chain of causes. */
export function isErrno(cause: unknown, code: string): boolean {
  for (let error = cause; error instanceof Error; error = error.cause) {
    if (systemCode(error) === code) return true
  }
  return false
}
