/**
 * Control frames: `/cairn/control/1`, one long-lived stream a peer and direction, never on a connection that
 * carries bulk. Frames are like datagrams: a full queue drops its oldest, a lost stream its newest, and
 * whoever needs an answer asks again. A stream for each request would cost seven times as much.
 */
import { CairnError, type PeerId } from '@cairn/core'
import type { ByteChannel } from './channel.ts'

export const CONTROL_PROTOCOL = '/cairn/control/1'
export const CONTROL_FRAME_BYTES_MAX = 64 * 1024
/** Waiting for one peer; beyond either the oldest go. Some seconds of gossip at its busiest: a guess. */
const QUEUE_FRAMES_MAX = 256
const QUEUE_BYTES_MAX = 1024 * 1024
/** Frames handed to the stream at once. */
const BATCH_FRAMES_MAX = 32
const LENGTH_BYTES = 4

export interface Control {
  /** Queues a frame; opens the stream if there is none. */
  send(peer: PeerId, bytes: Uint8Array): void
  /** Reads frames from a peer's stream until its end. @throws CairnError BAD_MESSAGE */
  receive(peer: PeerId, channel: ByteChannel): Promise<void>
  /** Frames that were dropped for want of room or of a connection. */
  dropped(): number
}

interface Lane {
  queue: Uint8Array[]
  bytes: number
  running: boolean
}

export function createControl(options: {
  open(peer: PeerId): Promise<ByteChannel>
  deliver(peer: PeerId, bytes: Uint8Array): void
}): Control {
  const lanes = new Map<PeerId, Lane>()
  let dropped = 0

  const dropOldest = (lane: Lane): void => {
    lane.bytes -= lane.queue.shift()?.length ?? 0
    dropped++
  }
  const run = async (peer: PeerId, lane: Lane): Promise<void> => {
    const channel = await options.open(peer)
    try {
      while (lane.queue.length > 0) {
        const batch = lane.queue.splice(0, BATCH_FRAMES_MAX)
        for (const frame of batch) lane.bytes -= frame.length
        await channel.send(batch.flatMap((frame) => [lengthOf(frame), frame]))
      }
    } catch (cause) {
      // A stream may take no more and not be closed: kept, it would swallow all that follows.
      channel.abort(cause as Error)
      throw cause
    }
  }
  const start = (peer: PeerId, lane: Lane): void => {
    if (lane.running) return
    lane.running = true
    run(peer, lane)
      .catch(() => {
        // No connection, or it was lost: as for a datagram, what waited is gone and the next one tries again.
        while (lane.queue.length > 0) dropOldest(lane)
      })
      .finally(() => {
        lane.running = false
        if (lane.queue.length > 0) start(peer, lane)
        else lanes.delete(peer)
      })
  }

  return {
    send(peer, bytes) {
      if (bytes.length > CONTROL_FRAME_BYTES_MAX) throw new RangeError('a control frame above 64 KiB')
      const lane = lanes.get(peer) ?? { queue: [], bytes: 0, running: false }
      lanes.set(peer, lane)
      lane.queue.push(bytes)
      lane.bytes += bytes.length
      while (lane.queue.length > QUEUE_FRAMES_MAX || lane.bytes > QUEUE_BYTES_MAX) dropOldest(lane)
      start(peer, lane)
    },
    async receive(peer, channel) {
      const length = new Uint8Array(LENGTH_BYTES)
      while (await channel.fill(length, true)) {
        const size = new DataView(length.buffer).getUint32(0)
        if (size > CONTROL_FRAME_BYTES_MAX) {
          throw new CairnError('BAD_MESSAGE', `malformed control frame: ${size} bytes`)
        }
        const frame = new Uint8Array(size)
        await channel.fill(frame)
        options.deliver(peer, frame)
      }
    },
    dropped: () => dropped
  }
}

function lengthOf(frame: Uint8Array): Uint8Array {
  const length = new Uint8Array(LENGTH_BYTES)
  new DataView(length.buffer).setUint32(0, frame.length)
  return length
}
