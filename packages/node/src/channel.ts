/**
 * A two-way stream of bytes that pushes back in both directions: what bulk framing and control frames
 * stand on. Its one implementation is a libp2p stream; a TLS socket can be another.
 *
 * A libp2p stream buffers without limit unless its `writeBufferLength` is watched (its `drain` event is
 * no permission, and `onDrain` works once), and only `pause` slows a sender down.
 */
import { CairnError } from '@cairn/core'
import type { Stream } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'

/** Handed to the stream at a time: what a sender may have in memory beyond its own blocks. */
const WRITE_BYTES_MAX = 1024 * 1024
/** Parts below this are copied together first: a list of thousands is slower than the copy. A guess. */
const SMALL_PART_BYTES = 16 * 1024
/** Received and not yet read, at which the sender is told to stop; and to go on. */
const READ_AHEAD_BYTES_MAX = 1024 * 1024
const READ_AHEAD_BYTES_LOW = 256 * 1024

export interface ByteChannel {
  /** Bytes so far: whether they grow is how a stall is told from slowness. */
  readonly sentBytes: number
  readonly receivedBytes: number
  /** Aborted, with the reason, once nothing more can be sent. */
  readonly gone: AbortSignal
  /** Resolves when the transport below took all of it. Calls are served whole, one after another. */
  send(parts: readonly Uint8Array[]): Promise<void>
  /**
   * Fills `target`, or resolves false at a clean end before its first byte.
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

type Wake = () => void

export function streamChannel(stream: Stream, peer: string, limits: ChannelLimits): ByteChannel {
  const gone = new AbortController()
  const incoming = readAhead(stream)
  let sentBytes = 0
  let turn: Promise<void> = Promise.resolve()

  const lost = (cause?: unknown): CairnError => {
    if (CairnError.is(gone.signal.reason)) return gone.signal.reason
    return new CairnError('UNREACHABLE', `lost the connection to ${peer}`, { cause })
  }
  const abort = (reason: Error): void => {
    gone.abort(reason)
    stream.abort(reason)
  }
  const stalled = (): void => {
    abort(new CairnError('TIMEOUT', `${peer} moved no byte for ${limits.stallMs / 1000} s`))
  }
  stream.addEventListener('close', (event) => {
    gone.abort(lost(event.error))
    incoming.wake()
  })

  const write = async (chunk: Uint8Array[]): Promise<void> => {
    if (gone.signal.aborted || stream.writeStatus !== 'writable') throw lost()
    try {
      stream.send(Uint8ArrayList.fromUint8Arrays(chunk))
    } catch (cause) {
      throw lost(cause)
    }
    for (let left = stream.writeBufferLength; left > 0; left = stream.writeBufferLength) {
      const moved = await anyEvent(stream, limits.stallMs)
      if (gone.signal.aborted || stream.status !== 'open') throw lost()
      if (!moved && stream.writeBufferLength >= left) stalled()
    }
    if (gone.signal.aborted) throw lost()
  }

  return {
    get sentBytes() {
      return sentBytes
    },
    get receivedBytes() {
      return incoming.bytes()
    },
    gone: gone.signal,
    send(parts) {
      const mine = turn.then(async () => {
        for (const chunk of chunksOf(parts)) {
          await write(chunk)
          sentBytes += lengthOf(chunk)
        }
      })
      turn = mine.catch(() => {}) // its caller is told; the next one finds the channel gone by itself
      return mine
    },
    async fill(target, patient = false) {
      let filled = 0
      while (filled < target.length) {
        filled += incoming.take(target, filled)
        if (filled === target.length) break
        if (incoming.ended()) {
          if (filled === 0 && patient && !gone.signal.aborted) return false
          throw lost()
        }
        if (gone.signal.aborted) throw lost()
        const moved = await incoming.more(patient && filled === 0 ? undefined : limits.stallMs)
        if (!moved) stalled()
      }
      return true
    },
    async skip(bytes) {
      const scrap = new Uint8Array(Math.min(bytes, READ_AHEAD_BYTES_LOW))
      for (let left = bytes; left > 0; left -= scrap.length) await this.fill(scrap.subarray(0, left))
    },
    async close() {
      await turn
      try {
        await stream.close({ signal: AbortSignal.timeout(limits.stallMs) })
      } catch (cause) {
        abort(lost(cause))
      }
    },
    abort
  }
}

/** What came and was not read yet. Beyond a limit the stream is paused, which closes its window. */
function readAhead(stream: Stream) {
  const pieces: Uint8Array[] = []
  let waiting: Wake | undefined
  let offset = 0
  let held = 0
  let bytes = 0
  let ended = false
  let resuming = false

  const holdBack = (): void => {
    if (held >= READ_AHEAD_BYTES_MAX && stream.readStatus === 'readable') stream.pause()
  }
  /** `resume` delivers what waited before it returns, and undoes a `pause` made meanwhile. */
  const goOn = (): void => {
    if (held > READ_AHEAD_BYTES_LOW || stream.readStatus !== 'paused') return
    resuming = true
    stream.resume()
    resuming = false
    holdBack()
  }
  const wake = (): void => {
    const call = waiting
    waiting = undefined
    call?.()
  }
  stream.addEventListener('message', ({ data }) => {
    for (const piece of data instanceof Uint8Array ? [data] : data) pieces.push(piece)
    held += data.byteLength
    bytes += data.byteLength
    if (!resuming) holdBack()
    wake()
  })
  stream.addEventListener('end', () => {
    ended = true
    wake()
  })
  ended = stream.readableEnded

  return {
    wake,
    bytes: () => bytes,
    /** Whether no byte will come any more. */
    ended: () => held === 0 && ended,
    /** Resolves true once something changed, false after `limitMs` without. */
    more(limitMs: number | undefined): Promise<boolean> {
      if (held > 0) return Promise.resolve(true)
      return new Promise((resolve) => {
        const timer = limitMs === undefined ? undefined : setTimeout(() => resolve(false), limitMs)
        waiting = () => {
          clearTimeout(timer)
          resolve(true)
        }
      })
    },
    /** Copies what is there into `target` from `from` on; returns how much that was. */
    take(target: Uint8Array, from: number): number {
      let at = from
      for (let piece = pieces[0]; piece !== undefined && at < target.length; piece = pieces[0]) {
        const part = piece.subarray(offset, offset + target.length - at)
        target.set(part, at)
        at += part.length
        offset += part.length
        if (offset < piece.length) break
        pieces.shift()
        offset = 0
      }
      held -= at - from
      goOn()
      return at - from
    }
  }
}

const lengthOf = (parts: readonly Uint8Array[]) => parts.reduce((sum, part) => sum + part.length, 0)

/** Parts as lists of at most `WRITE_BYTES_MAX`, small neighbours joined into one. */
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
    for (let from = 0; from < part.length; ) {
      const piece = part.subarray(from, from + WRITE_BYTES_MAX - size)
      from += piece.length
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

/** Resolves true when the stream's write side changed, false after `limitMs`. */
function anyEvent(stream: Stream, limitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const finish = (changed: boolean): void => {
      clearTimeout(timer)
      for (const type of WRITE_EVENTS) stream.removeEventListener(type, yes)
      resolve(changed)
    }
    const yes = (): void => finish(true)
    const timer = setTimeout(() => finish(false), limitMs)
    for (const type of WRITE_EVENTS) stream.addEventListener(type, yes)
  })
}

const WRITE_EVENTS = ['drain', 'idle', 'close'] as const
