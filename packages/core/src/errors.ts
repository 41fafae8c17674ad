/**
 * What can go wrong outside Cairn's own code, as one class with a code. A bug in the caller is a
 * TypeError or RangeError instead; absence is `undefined`, never an error.
 */

const KINDS = {
  // the bytes
  BAD_BLOCK: { status: 400, exit: 7, retryable: false },
  BLOCK_CORRUPT: { status: 502, exit: 7, retryable: true },
  /** A whole file, by a digest that was expected of it. */
  DIGEST_MISMATCH: { status: 422, exit: 7, retryable: false },
  BLOCK_TOO_LARGE: { status: 413, exit: 2, retryable: false },
  BAD_CID: { status: 400, exit: 2, retryable: false },
  BAD_CAR: { status: 400, exit: 7, retryable: false },
  BAD_DAG: { status: 422, exit: 7, retryable: false },
  BAD_NAME: { status: 400, exit: 1, retryable: false },
  FILE_CHANGED: { status: 409, exit: 1, retryable: true },
  FILE_EXISTS: { status: 409, exit: 1, retryable: false },
  UNSAFE_PATH: { status: 422, exit: 7, retryable: false },
  NOT_FOUND: { status: 404, exit: 4, retryable: false },
  NO_PROVIDER: { status: 504, exit: 5, retryable: true },
  // the network
  BAD_MESSAGE: { status: 400, exit: 1, retryable: false },
  BAD_INVITE: { status: 400, exit: 2, retryable: false },
  WRONG_NETWORK: { status: 403, exit: 8, retryable: false },
  WRONG_SECRET: { status: 403, exit: 8, retryable: false },
  WRONG_VERSION: { status: 409, exit: 1, retryable: false },
  UNREACHABLE: { status: 503, exit: 3, retryable: true },
  TIMEOUT: { status: 504, exit: 5, retryable: true },
  BUSY: { status: 503, exit: 1, retryable: true },
  TOO_FEW_REPLICAS: { status: 503, exit: 6, retryable: true },
  // names
  /** Several updates of a ref were begun, and none has a majority of the votes. */
  REF_CONFLICT: { status: 409, exit: 1, retryable: false },
  /** The ref is not what the update was made on condition of. */
  REF_STALE: { status: 409, exit: 1, retryable: false },
  // the disk
  FULL: { status: 507, exit: 9, retryable: true },
  READ_ONLY: { status: 503, exit: 1, retryable: false },
  TOO_MANY_FILES: { status: 503, exit: 1, retryable: true },
  DISK_FAILED: { status: 500, exit: 1, retryable: false },
  STORE_DAMAGED: { status: 500, exit: 7, retryable: false },
  NEWER_VERSION: { status: 500, exit: 1, retryable: false },
  LOCKED: { status: 409, exit: 1, retryable: true },
  // the surface
  BAD_CONFIG: { status: 400, exit: 2, retryable: false },
  BAD_REQUEST: { status: 400, exit: 2, retryable: false },
  TOO_LARGE: { status: 413, exit: 2, retryable: false },
  UNAUTHORIZED: { status: 401, exit: 8, retryable: false },
  FORBIDDEN: { status: 403, exit: 8, retryable: false },
  PORT_IN_USE: { status: 500, exit: 1, retryable: true },
  INTERNAL: { status: 500, exit: 1, retryable: false }
} as const

export type ErrorCode = keyof typeof KINDS

export interface CairnErrorOptions extends ErrorOptions {
  /** What the reader can do next, as one plain sentence or a command. */
  hint?: string
}

/**
 * The only error Cairn throws on purpose: something the outside world did, which a caller may handle.
 * Branch on `code`; messages may change. A bug in the caller is a TypeError or RangeError instead.
 */
export class CairnError extends Error {
  override readonly name = 'CairnError'
  readonly code: ErrorCode
  readonly hint: string | undefined

  constructor(code: ErrorCode, message: string, options: CairnErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.hint = options.hint
  }

  /** The HTTP status that carries this error. */
  get status(): number {
    return KINDS[this.code].status
  }

  /** The exit code of a command that ends with this error. */
  get exit(): number {
    return KINDS[this.code].exit
  }

  /** Whether the same call may succeed later with nothing changed by the caller. */
  get retryable(): boolean {
    return KINDS[this.code].retryable
  }

  /** True for a CairnError of any realm or copy of this package, with `code` if one is given. */
  static is(error: unknown, code?: ErrorCode): error is CairnError {
    if (!(error instanceof Error) || error.name !== 'CairnError') return false
    return code === undefined || (error as CairnError).code === code
  }

  /** The shape that crosses HTTP and `--json`. */
  toJSON(): ErrorBody {
    const { code, message, hint, retryable, exit } = this
    return { code, message, ...(hint === undefined ? {} : { hint }), retryable, exit }
  }

  /** The error that `toJSON` described; an unknown code (a newer node's) becomes INTERNAL. */
  static from(body: { code: string; message: string; hint?: string }): CairnError {
    const code = Object.hasOwn(KINDS, body.code) ? (body.code as ErrorCode) : 'INTERNAL'
    return new CairnError(code, body.message, body.hint === undefined ? {} : { hint: body.hint })
  }
}

export interface ErrorBody {
  code: ErrorCode
  message: string
  hint?: string
  retryable: boolean
  exit: number
}
