/** Whole nodes that lie: real members of the network, speaking its protocols, each in a way of its own. */
import { randomBytes } from 'node:crypto'
import { type BlockKey, blockKey, type CoreAction, fromHex } from '@cairn/core'
import type { ByteChannel } from '../../src/channel.ts'
import { encodeEntries } from '../../src/frame.ts'
import type { Ways } from '../../src/node.ts'
import { perform } from '../../src/perform.ts'
import type { Shell } from '../../src/shell.ts'

/** What a liar did. */
export interface Deeds {
  lies: number
}

/** Sends other bytes than those of the block. */
export function swaps(deeds: Deeds): Ways {
  return {
    serve: (honest) => ({
      ...honest,
      async read(from, key, forRepair) {
        const block = await honest.read(from, key, forRepair)
        if (block === undefined || 'reason' in block) return block
        deeds.lies++
        return { ...block, bytes: new Uint8Array(randomBytes(block.bytes.length)) }
      }
    })
  }
}

/** Acknowledges all, throws away the chosen blocks, and answers anything when it is to prove them. */
export function drops(deeds: Deeds, isDropped: (key: BlockKey) => boolean): Ways {
  return {
    serve: (honest) => ({
      ...honest,
      read: async (from, key, forRepair) =>
        isDropped(key) ? undefined : await honest.read(from, key, forRepair)
    }),
    perform(shell, action) {
      if (action.type === 'prove' && action.items.some(({ key }) => isDropped(key))) {
        deeds.lies++
        void proveAnything(shell, action, isDropped)
      } else perform(shell, action)
    }
  }
}

async function proveAnything(
  shell: Shell,
  action: CoreAction & { type: 'prove' },
  isDropped: (key: BlockKey) => boolean
): Promise<void> {
  const digests = action.items.map(({ key }) =>
    isDropped(key) ? new Uint8Array(randomBytes(32)) : undefined
  )
  shell.dispatch({ type: 'proved', token: action.token, digests })
}

/** Sends so many bytes and then nothing more, with the stream open. */
export function stalls(deeds: Deeds, atBytes: number): Ways {
  return { servedOn: (channel) => sending(channel, deeds, stallAt(atBytes)) }
}

/** Answers, and goes on for ever with blocks that nobody asked for. */
export function neverEnds(deeds: Deeds): Ways {
  return { servedOn: (channel) => sending(channel, deeds, goOn) }
}

type Send = (channel: ByteChannel, parts: readonly Uint8Array[], deeds: Deeds) => Promise<void>

/** A channel of which only sending is another. */
function sending(channel: ByteChannel, deeds: Deeds, send: Send): ByteChannel {
  return {
    get sentBytes() {
      return channel.sentBytes
    },
    get receivedBytes() {
      return channel.receivedBytes
    },
    gone: channel.gone,
    fill: (target, patient) => channel.fill(target, patient),
    skip: (bytes) => channel.skip(bytes),
    close: () => channel.close(),
    abort: (reason) => channel.abort(reason),
    send: (parts) => send(channel, parts, deeds)
  }
}

function stallAt(atBytes: number): Send {
  return async (channel, parts, deeds) => {
    const all = Buffer.concat(parts)
    if (all.length <= atBytes) return await channel.send(parts)
    deeds.lies++
    await channel.send([all.subarray(0, atBytes)])
    await new Promise((resolve) => channel.gone.addEventListener('abort', resolve, { once: true }))
  }
}

const goOn: Send = async (channel, parts, deeds) => {
  await channel.send(parts)
  deeds.lies++
  for (let id = 1; !channel.gone.aborted; id++) {
    const bytes = new Uint8Array(64 * 1024)
    const key = blockKey(fromHex(`1220${randomBytes(32).toString('hex')}`))
    await channel.send(encodeEntries('blocks', id, [{ key, bytes, proofs: [] }]))
  }
}
