/**
 * How a command that fails says so, and with which exit code: what went wrong, a code to search for,
 * and what to do next. A script branches on the exit code or on `error.code`, never on the words.
 */
import { systemCode } from '@cairn/blocks/fs'
import { CairnError, type ErrorCode } from '@cairn/core'
import { safeProse } from './format.ts'
import { JSON_VERSION, type Output } from './output.ts'

export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  unreachable: 3,
  notFound: 4,
  timeout: 5,
  underReplicated: 6,
  integrity: 7,
  auth: 8,
  quota: 9,
  /** 128 + SIGINT, as shells report it. */
  interrupted: 130,
  terminated: 143
} as const

export interface Failure {
  code: string
  message: string
  hint?: string
  retryable: boolean
  exit: number
}

/** What the system calls it -> what it means here. Anything else of the system's is a plain failure. */
const SYSTEM: Record<string, { exit: number; hint?: string }> = {
  ENOENT: { exit: EXIT.notFound, hint: 'check the path' },
  ENOTDIR: { exit: EXIT.notFound, hint: 'check the path' },
  EACCES: { exit: EXIT.failure, hint: 'check who may read or write it' },
  EPERM: { exit: EXIT.failure, hint: 'check who may read or write it' },
  ENOSPC: { exit: EXIT.quota, hint: 'make room on that disk, and run the same command again' },
  EDQUOT: { exit: EXIT.quota, hint: 'make room in the quota, and run the same command again' }
}

/** Where the command can say better what to do than whoever made the error. */
const HINTS: { [code in ErrorCode]?: string } = {
  UNAUTHORIZED: 'CAIRN_TOKEN=… with what is in the file `token` of the home of that node'
}

/** Any thrown value, as what is shown of it. */
export function describeFailure(error: unknown): Failure {
  if (CairnError.is(error)) {
    const { code, message } = error
    const hint = HINTS[code] ?? error.hint
    return CairnError.from(hint === undefined ? { code, message } : { code, message, hint }).toJSON()
  }
  if (error instanceof Error && error.name === 'TimeoutError') {
    return {
      code: 'TIMEOUT',
      message: 'it took longer than --timeout allows',
      hint: 'allow more with --timeout, or see what is wrong with: cairn status',
      retryable: true,
      exit: EXIT.timeout
    }
  }
  const { code, syscall } = error as NodeJS.ErrnoException
  if (error instanceof Error && typeof code === 'string' && syscall !== undefined) {
    const known = SYSTEM[systemCode(error) ?? code]
    const hint = known?.hint === undefined ? {} : { hint: known.hint }
    return { code, message: error.message, ...hint, retryable: false, exit: known?.exit ?? EXIT.failure }
  }
  return {
    code: 'INTERNAL',
    message: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
    hint: 'this is a defect of Cairn: CAIRN_DEBUG=1 shows where; please report it',
    retryable: false,
    exit: EXIT.failure
  }
}

/** Column at which the code stands, where the message leaves room. */
const CODE_COLUMN = 64

/** Two lines for a person. */
export function failureText(failure: Failure, out: Pick<Output, 'prose'>): string {
  const [first = '', ...rest] = safeProse(failure.message).split('\n')
  const head = `error: ${first}`
  const gap = ' '.repeat(Math.max(2, CODE_COLUMN - head.length))
  const lines = [
    `${out.prose('red', 'error:')} ${first}${gap}${out.prose('dim', failure.code)}`,
    ...rest.map((line) => `  ${line}`)
  ]
  if (failure.hint !== undefined) {
    const [hint = '', ...more] = safeProse(failure.hint).split('\n')
    lines.push(`  try: ${hint}`, ...more.map((line) => `       ${line}`))
  }
  return lines.join('\n')
}

/**
 * Prints the error and returns the exit code. With `--json` it is the last line of stdout, so that one
 * stream tells a script all; a command whose stdout is content says it on stderr instead.
 */
export function reportFailure(
  error: unknown,
  out: Output,
  options: { stdoutIsContent?: boolean } = {}
): number {
  const failure = describeFailure(error)
  const { stdout, stderr } = out.streams
  out.live.clear()
  if (out.json) {
    const stream = options.stdoutIsContent === true ? stderr : stdout
    stream.write(`${JSON.stringify({ v: JSON_VERSION, error: failure })}\n`)
  } else {
    stderr.write(`${failureText(failure, out)}\n`)
  }
  if (process.env.CAIRN_DEBUG && error instanceof Error) stderr.write(`${error.stack}\n${causes(error)}`)
  return failure.exit
}

function causes(error: Error): string {
  const { cause } = error
  return cause instanceof Error ? `caused by ${cause.stack}\n${causes(cause)}` : ''
}
