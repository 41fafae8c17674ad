/** What the filesystem says, as an error of ours that names the file and the next step. */
import { constants } from 'node:os'
import { CairnError, type ErrorCode } from '@cairn/core'

const MEANINGS: Readonly<Record<string, readonly [ErrorCode, string, string]>> = {
  ENOENT: ['NOT_FOUND', 'there is no such file', 'check the path'],
  ENOTDIR: ['FILE_EXISTS', 'a part of the path is not a directory', 'move it away, or choose another target'],
  EISDIR: ['FILE_EXISTS', 'a directory is in the way', 'move it away, or choose another target'],
  ELOOP: ['UNSAFE_PATH', 'a symlink is in the way', 'move it away, or choose another target'],
  EACCES: ['FORBIDDEN', 'access is denied', 'check the permissions'],
  EPERM: ['FORBIDDEN', 'access is denied', 'check the permissions'],
  EROFS: ['READ_ONLY', 'the filesystem is read-only', 'choose another target'],
  ENOSPC: ['FULL', 'the disk is full', 'free some space and run the same command again: it resumes'],
  EDQUOT: ['FULL', 'the quota is used up', 'free some space and run the same command again: it resumes'],
  EMFILE: ['TOO_MANY_FILES', 'too many files are open', 'raise the limit: ulimit -n 65536'],
  ENFILE: ['TOO_MANY_FILES', 'too many files are open', 'close some programs'],
  ENAMETOOLONG: ['BAD_NAME', 'the name is too long for this filesystem', 'choose a shorter target'],
  EILSEQ: ['BAD_NAME', 'this filesystem does not allow the name', 'choose a target on another filesystem'],
  EINVAL: ['BAD_NAME', 'this filesystem does not allow the name', 'choose a target on another filesystem']
}

/** The name of what the system said. Of a full quota Node has the number only: libuv knows no name for it. */
export function systemCode(error: Error): string | undefined {
  const { code } = error as NodeJS.ErrnoException
  return code === `Unknown system error -${constants.errno.EDQUOT}` ? 'EDQUOT' : code
}

/** @returns the error to throw: ours as it is, the filesystem's in our words, a bug untouched. */
export function diskError(cause: unknown, path: string): unknown {
  if (CairnError.is(cause)) return cause
  if (!(cause instanceof Error) || !('syscall' in cause)) return cause
  const [ours, why, hint] = MEANINGS[systemCode(cause) ?? ''] ?? [
    'DISK_FAILED',
    cause.message,
    'check the disk'
  ]
  return new CairnError(ours, `${path}: ${why}`, { cause, hint })
}

/** Runs `action`; what the filesystem throws becomes an error about `path`. */
export async function onDisk<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (cause) {
    throw diskError(cause, path)
  }
}
