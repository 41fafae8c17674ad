/** Real transports on loopback that write down what they are told. */
import { createHash } from 'node:crypto'
import type { BlockKey, CairnError, PeerId } from '@cairn/core'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Credentials } from '../../src/admission.ts'
import type { OutEntry } from '../../src/frame.ts'
import { type Network, newNetwork } from '../../src/network.ts'
import type { BulkServer } from '../../src/serve.ts'
import { openTransport, type Transport, type TransportLimits } from '../../src/transport.ts'

export interface TestPeer extends AsyncDisposable {
  transport: Transport
  id: PeerId
  messages: { from: PeerId; text: string }[]
  /** "connected", "disconnected" and error codes with the last four characters of who, in order. */
  log: string[]
  rejections: { who: string; error: CairnError }[]
  found: PeerId[]
  blocks: Map<BlockKey, OutEntry>
}

export interface TestPeerOptions {
  version?: number
  mdns?: boolean
  listen?: string[]
  limits?: Partial<TransportLimits>
  bulk?: Partial<BulkServer>
  /** False: bulk by libp2p streams alone. */
  bulkPort?: number | false
}

/** A server that keeps what it is sent in memory. */
function memoryServer(blocks: Map<BlockKey, OutEntry>): BulkServer {
  return {
    async receive(_from, entries) {
      for (const { bytes, ...entry } of entries) {
        blocks.set(entry.key, bytes === undefined ? entry : { ...entry, bytes: Buffer.from(bytes) })
      }
      return {
        items: entries.map(({ key }) => ({ key, outcome: 'held' })),
        receipt: Uint8Array.of(entries.length % 256)
      }
    },
    sizes: async (_from, keys) => keys.map((key) => blocks.get(key)?.bytes?.length),
    async read(_from, key) {
      const entry = blocks.get(key)
      return entry?.bytes && { bytes: entry.bytes, proofs: entry.proofs }
    },
    claims: async (_from, key) => blocks.get(key)?.proofs ?? []
  }
}

export async function openPeer(admission: Credentials, options: TestPeerOptions = {}): Promise<TestPeer> {
  const { bulk, listen = ['/ip4/127.0.0.1/tcp/0'], ...rest } = options
  const peer: Pick<TestPeer, 'messages' | 'log' | 'rejections' | 'found' | 'blocks'> = {
    messages: [],
    log: [],
    rejections: [],
    found: [],
    blocks: new Map()
  }
  const transport = await openTransport({
    privateKey: await generateKeyPair('Ed25519'),
    listen,
    admission: { ...admission },
    bulk: { ...memoryServer(peer.blocks), ...bulk },
    on: {
      message: (from, bytes) => peer.messages.push({ from, text: Buffer.from(bytes).toString() }),
      connected: (who) => peer.log.push(`connected ${who.slice(-4)}`),
      disconnected: (who) => peer.log.push(`disconnected ${who.slice(-4)}`),
      found: (who) => peer.found.push(who),
      rejected(who, error) {
        peer.log.push(`${error.code} ${who.slice(-4)}`)
        peer.rejections.push({ who, error })
      }
    },
    ...rest
  })
  return { ...peer, transport, id: transport.id, [Symbol.asyncDispose]: () => transport.close() }
}

/** Two members of one private network, connected. */
export async function openPair(
  options: { server?: TestPeerOptions; client?: TestPeerOptions } = {}
): Promise<{ server: TestPeer; client: TestPeer; network: Network } & AsyncDisposable> {
  const network = newNetwork({ open: false })
  const server = await openPeer(network, options.server)
  const client = await openPeer(network, options.client)
  await client.transport.dial(server.transport.addresses())
  const close = async () => {
    await client.transport.close()
    await server.transport.close()
  }
  return { server, client, network, [Symbol.asyncDispose]: close }
}

export async function until(condition: () => boolean, what: string, limitMs = 60_000): Promise<void> {
  const endMs = Date.now() + limitMs
  while (!condition()) {
    if (Date.now() > endMs) throw new Error(`not within ${limitMs / 1000} s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export function keyOf(bytes: Uint8Array): BlockKey {
  return `1220${createHash('sha256').update(bytes).digest('hex')}` as BlockKey
}

/** The code of the CairnError that `work` ends with, or what it ended with instead. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'resolved'
  } catch (cause) {
    return cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
  }
}
