/**
 * A channel over a libp2p stream: the way that always works. The stream buffers without limit unless its
 * `writeBufferLength` is watched (its `drain` event is no permission, and `onDrain` works once), and only
 * `pause` slows a sender down.
 */
import type { Stream } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'
import { type ByteChannel, type ChannelLimits, makeChannel, type Wire, type WireEvents } from './channel.ts'

export function streamChannel(stream: Stream, peer: string, limits: ChannelLimits): ByteChannel {
  return makeChannel(peer, limits, (events) => streamWire(stream, events))
}

function streamWire(stream: Stream, events: WireEvents): Wire {
  let handedBytes = 0
  let holding = false
  stream.addEventListener('message', ({ data }) => {
    for (const piece of data instanceof Uint8Array ? [data] : data) events.received(piece)
  })
  stream.addEventListener('end', () => events.ended())
  stream.addEventListener('close', (event) => events.closed(event.error))
  if (stream.readableEnded) queueMicrotask(() => events.ended())
  // Its connection may have closed between the stream's opening and here: that is told once, and was.
  if (OVER.includes(stream.status)) queueMicrotask(() => events.closed())

  return {
    get sentBytes() {
      return handedBytes - stream.writeBufferLength
    },
    async write(chunk, stallMs) {
      if (stream.writeStatus !== 'writable') throw new Error('the stream takes no more')
      for (const part of chunk) handedBytes += part.length
      // as copies: when the layers below have enciphered it is not told
      stream.send(Uint8ArrayList.fromUint8Arrays(chunk.map((part) => new Uint8Array(part))))
      for (let left = stream.writeBufferLength; left > 0; left = stream.writeBufferLength) {
        const moved = await anyEvent(stream, stallMs)
        if (stream.status !== 'open') throw new Error('the stream was closed')
        if (!moved && stream.writeBufferLength >= left) return false
      }
      return true
    },
    pause() {
      holding = true
      if (stream.readStatus === 'readable') stream.pause()
    },
    resume() {
      holding = false
      if (stream.readStatus !== 'paused') return
      stream.resume() // delivers what waited before it returns, and undoes a `pause` made meanwhile
      if (holding) stream.pause()
    },
    end: (limitMs) => stream.close({ signal: AbortSignal.timeout(limitMs) }),
    destroy: (reason) => stream.abort(reason)
  }
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

const OVER: readonly Stream['status'][] = ['closed', 'aborted', 'reset']
const WRITE_EVENTS = ['drain', 'idle', 'close'] as const
