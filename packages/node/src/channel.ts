/**
 * A two-way stream of bytes that pushes back in both directions: what bulk framing and control frames
 * stand on. One wire is a libp2p stream, another a TLS socket; what they share is here: sending in turn,
 * reading into the reader's own buffer, reading ahead up to a limit, and telling a stall from slowness.
 */
import { CairnError } from '@cairn/core'

/** Handed to the wire at a time, or up to twice that: what a sender may have in memory beyond its blocks. */
const WRITE_BYTES_MAX = 1024 * 1024
/** Parts below this are copied together first: a list of thousands is slower than the copy. A guess. */
const SMALL_PART_BYTES = 16 * 1024
/** Received and not yet read, at which the sender is told to stop; and to go on. */
const READ_AHEAD_BYTES_MAX = 1024 * 1024
const READ_AHEAD_BYTES_LOW = 256 * 1024
/** For what comes while nobody reads; a TLS record, the most that comes at once there, is 16 KiB. */
const SPARE_BYTES = 64 * 1024
const SPARE_BYTES_LEAST = 16 * 1024

export interface ByteChannel {
  /** Bytes so far: whether they grow is how a stall is told from slowness. */
  readonly sentBytes: number
  readonly receivedBytes: number
  /** Aborted, with the reason, once nothing more can be sent. */
  readonly gone: AbortSignal
  /**
   * Resolves when the transport below took all of it, and the parts may be used for something else. Calls are
   * served whole, one after another.
   */
  send(parts: readonly Uint8Array[]): Promise<void>
  /**
   * Fills `target`, or resolves false at a clean end before its first byte. One call at a time.
   * @param patient whether silence before the first byte is fine: between frames, not within one
   */
  fill(target: Uint8Array, patient?: boolean): Promise<boolean>
  /** Reads and drops. */
  skip(bytes: number): Promise<void>
  close(): Promise<void>
  abort(reason: Error): void
}

export interface ChannelLimits {
  /** Without a byte taken or given while one is due, the channel is aborted with TIMEOUT. */
  stallMs: number
}

/** What carries a channel's bytes. */
export interface Wire {
  readonly sentBytes: number
  /** Resolves true once all was taken from this process, false when nothing moved; rejects when gone. */
  write(chunk: readonly Uint8Array[], stallMs: number): Promise<boolean>
  pause(): void
  resume(): void
  /** Ends this side; resolves when what was written is gone. */
  end(limitMs: number): Promise<void>
  destroy(reason: Error): void
}

/** What a wire tells the channel on it. */
export interface WireEvents {
  received(piece: Uint8Array): void
  /** For a wire that reads into given memory: where the next bytes go, never empty; then how many came. */
  space(): Uint8Array
  filled(bytes: number): void
  ended(): void
  closed(cause?: unknown): void
}

export function makeChannel(
  peer: string,
  { stallMs }: ChannelLimits,
  wireOn: (events: WireEvents) => Wire
): ByteChannel {
  const gone = new AbortController()
  let turn: Promise<void> = Promise.resolve()

  const lost = (cause?: unknown): CairnError => {
    if (CairnError.is(gone.signal.reason)) return gone.signal.reason
    return new CairnError('UNREACHABLE', `lost the connection to ${peer}`, { cause })
  }
  const abort = (reason: Error): void => {
    gone.abort(reason)
    wire.destroy(reason)
    incoming.fail()
  }
  const stalled = (): void =>
    abort(new CairnError('TIMEOUT', `${peer} moved no byte for ${stallMs / 1000} s`))
  const incoming = readAhead({ stallMs, stalled, lost, wire: () => wire })
  const wire: Wire = wireOn({
    ...incoming.events,
    closed(cause) {
      gone.abort(lost(cause))
      incoming.fail()
    }
  })
  const write = async (chunk: readonly Uint8Array[]): Promise<void> => {
    if (gone.signal.aborted) throw lost()
    try {
      if (!(await wire.write(chunk, stallMs))) stalled()
    } catch (cause) {
      throw lost(cause)
    }
    if (gone.signal.aborted) throw lost()
  }

  return {
    get sentBytes() {
      return wire.sentBytes
    },
    get receivedBytes() {
      return incoming.bytes()
    },
    gone: gone.signal,
    send(parts) {
      const mine = turn.then(async () => {
        for (const chunk of chunksOf(parts)) await write(chunk)
      })
      turn = mine.catch(() => {}) // its caller is told; the next one finds the channel gone by itself
      return mine
    },
    fill: incoming.fill,
    async skip(bytes) {
      const scrap = new Uint8Array(Math.min(bytes, READ_AHEAD_BYTES_LOW))
      for (let left = bytes; left > 0; left -= scrap.length) await incoming.fill(scrap.subarray(0, left))
    },
    async close() {
      await turn
      try {
        await wire.end(stallMs)
      } catch (cause) {
        abort(lost(cause))
      }
    },
    abort
  }
}

/** A read that waits. */
interface Due {
  target: Uint8Array
  filled: number
  patient: boolean
  sinceMs: number
  resolve(whole: boolean): void
  reject(error: Error): void
}

interface ReadAheadOptions {
  stallMs: number
  stalled(): void
  lost(): CairnError
  wire(): Wire
}

/** What came: straight into the buffer of whoever waits for it, the rest kept up to a limit. */
function readAhead({ stallMs, stalled, lost, wire }: ReadAheadOptions) {
  const pieces: Uint8Array[] = []
  let offset = 0
  let held = 0
  let bytes = 0
  let movedMs = 0
  let ended = false
  let failed = false
  let paused = false
  let due: Due | undefined
  let watch: NodeJS.Timeout | undefined
  let spare = new Uint8Array(0)
  let spareUsed = 0
  let offered: Due | undefined

  const settle = (act: (was: Due) => void): void => {
    const was = due
    due = undefined
    if (was !== undefined) act(was)
  }
  const isLate = (): boolean => due !== undefined && (!due.patient || due.filled > 0)
  /** One timer a channel, not one a read; before it strikes, what waits in the kernel is read. */
  const look = (): void => {
    watch = undefined
    setImmediate(() => {
      if (!isLate() || watch !== undefined) return
      const quietMs = performance.now() - Math.max(movedMs, due?.sinceMs ?? 0)
      if (quietMs >= stallMs) stalled()
      else arm(stallMs - quietMs)
    })
  }
  const arm = (ms: number): void => {
    watch ??= setTimeout(look, ms).unref()
  }
  const advance = (length: number): void => {
    if (due === undefined) return
    due.filled += length
    if (due.filled === due.target.length) settle(({ resolve }) => resolve(true))
    else if (watch === undefined) arm(stallMs)
  }
  const keep = (piece: Uint8Array): void => {
    pieces.push(piece)
    held += piece.length
    if (held < READ_AHEAD_BYTES_MAX || paused) return
    paused = true
    wire().pause()
  }
  const received = (piece: Uint8Array): void => {
    bytes += piece.length
    movedMs = performance.now()
    const part = due === undefined ? 0 : Math.min(piece.length, due.target.length - due.filled)
    if (due !== undefined && part > 0) {
      due.target.set(part === piece.length ? piece : piece.subarray(0, part), due.filled)
      advance(part)
    }
    if (part < piece.length) keep(part === 0 ? piece : piece.subarray(part))
  }
  const take = (target: Uint8Array): number => {
    let at = 0
    for (let piece = pieces[0]; piece !== undefined && at < target.length; piece = pieces[0]) {
      const part = piece.subarray(offset, offset + target.length - at)
      target.set(part, at)
      at += part.length
      offset += part.length
      if (offset < piece.length) break
      pieces.shift()
      offset = 0
    }
    held -= at
    if (paused && held <= READ_AHEAD_BYTES_LOW && !failed) {
      paused = false
      wire().resume()
    }
    return at
  }
  const conclude = ({ filled, patient, resolve, reject }: Due): void => {
    if (ended && filled === 0 && patient && !failed) resolve(false)
    else reject(lost())
  }
  const clear = (): void => {
    clearTimeout(watch)
    watch = undefined
    settle(conclude)
  }

  return {
    bytes: () => bytes,
    /** Nothing more will come, and this is no clean end, unless that was before. */
    fail(): void {
      if (!ended) failed = true
      clear()
    },
    fill(target: Uint8Array, patient = false): Promise<boolean> {
      if (due !== undefined) return Promise.reject(new RangeError('two reads at once'))
      let filled = 0
      // Again while there is more: `take` may resume the wire, which may deliver before it returns.
      while (held > 0 && filled < target.length)
        filled += take(filled === 0 ? target : target.subarray(filled))
      if (filled === target.length) return Promise.resolve(true)
      return new Promise((resolve, reject) => {
        const mine = { target, filled, patient, sinceMs: performance.now(), resolve, reject }
        if (ended || failed) return conclude(mine)
        due = mine
        if (isLate()) arm(stallMs)
      })
    },
    events: {
      received,
      space(): Uint8Array {
        offered = due
        if (due !== undefined) return due.target.subarray(due.filled)
        if (held === 0) spareUsed = 0
        if (spare.length - spareUsed < SPARE_BYTES_LEAST) {
          spare = Buffer.allocUnsafeSlow(SPARE_BYTES)
          spareUsed = 0
        }
        return spare.subarray(spareUsed)
      },
      filled(count: number): void {
        if (offered === undefined) {
          spareUsed += count
          received(spare.subarray(spareUsed - count, spareUsed))
        } else {
          bytes += count
          movedMs = performance.now()
          if (offered === due) advance(count)
        }
      },
      ended(): void {
        ended = true
        clear()
      }
    }
  }
}

/** Parts as lists of some `WRITE_BYTES_MAX`, small neighbours joined into one. */
function* chunksOf(parts: readonly Uint8Array[]): Generator<Uint8Array[]> {
  let chunk: Uint8Array[] = []
  let small: Uint8Array[] = []
  let size = 0
  const join = (): void => {
    if (small.length === 1) chunk.push(small[0] as Uint8Array)
    else if (small.length > 1) chunk.push(Buffer.concat(small))
    small = []
  }
  for (const part of parts) {
    for (let from = 0; from < part.length; from += WRITE_BYTES_MAX) {
      const piece = part.length <= WRITE_BYTES_MAX ? part : part.subarray(from, from + WRITE_BYTES_MAX)
      size += piece.length
      if (piece.length > SMALL_PART_BYTES) join()
      if (piece.length > SMALL_PART_BYTES) chunk.push(piece)
      else small.push(piece)
      if (size < WRITE_BYTES_MAX) continue
      join()
      yield chunk
      chunk = []
      size = 0
    }
  }
  join()
  if (chunk.length > 0) yield chunk
}
