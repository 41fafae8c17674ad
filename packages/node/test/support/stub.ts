/** A member whose membership is real and whose bulk server is the test's own: it may lie, or keep silent. */
import { randomBytes } from 'node:crypto'
import {
  type BlockKey,
  createCore,
  decodeMessage,
  encodeMessage,
  type Message,
  type PeerId,
  seeded
} from '@cairn/core'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import type { CairnNode } from '../../src/api.ts'
import { cryptoOf } from '../../src/identity.ts'
import { parseInvite } from '../../src/network.ts'
import { monotonicMs, startLoop } from '../../src/runtime.ts'
import type { BulkServer } from '../../src/serve.ts'
import { openTransport } from '../../src/transport.ts'
import { FAST } from './nodes.ts'

export interface Stub extends AsyncDisposable {
  readonly id: PeerId
  /** Keys that it was asked for, in order. */
  readonly asked: BlockKey[]
  /** Of which it was told that its copies are bad. */
  readonly accused: BlockKey[]
  send(to: PeerId, message: Message): void
}

/** Joins the network of `node`. It refuses what it is sent, unless told otherwise. */
export async function joinStub(node: CairnNode, bulk: Partial<BulkServer>): Promise<Stub> {
  const privateKey = await generateKeyPair('Ed25519')
  const id = peerIdFromPrivateKey(privateKey).toString() as PeerId
  const { network, secret, addresses } = parseInvite(node.invite())
  const asked: BlockKey[] = []
  const accused: BlockKey[] = []
  const server: BulkServer = {
    receive: async (_from, entries) => ({
      items: entries.map(({ key }) => ({ key, outcome: 'refused', reason: 'a stub' }))
    }),
    sizes: async (_from, keys) => keys.map(() => undefined),
    read: async () => undefined,
    claims: async () => [],
    ...bulk
  }
  let dispatch: ReturnType<typeof startLoop>['dispatch'] = () => undefined
  const transport = await openTransport({
    privateKey,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    admission: {
      id: network as string,
      secret: secret as string,
      open: false,
      replicas: node.network.replicas
    },
    on: {
      message: (from, bytes) => dispatch({ type: 'message', from, message: decodeMessage(bytes) }),
      connected: (peer) => dispatch({ type: 'connected', peer }),
      disconnected: (peer) => dispatch({ type: 'disconnected', peer }),
      found: () => undefined,
      rejected: () => undefined
    },
    bulk: {
      receive: server.receive,
      sizes: server.sizes,
      claims: server.claims,
      read(from, key, forRepair) {
        asked.push(key)
        return server.read(from, key, forRepair)
      }
    }
  })
  const facts = {
    capacity: 2 ** 30,
    zone: undefined,
    name: 'stub',
    full: false,
    http: undefined,
    version: '0'
  }
  const core = createCore(
    {
      id,
      facts: { ...facts, addresses: transport.addresses() },
      incarnation: 1,
      life: '00'.repeat(8),
      config: { ...FAST, replicas: node.network.replicas },
      random: seeded(randomBytes(4).readInt32LE()),
      crypto: cryptoOf({ id, privateKey })
    },
    monotonicMs()
  )
  const loop = startLoop(core, {
    perform(action) {
      if (action.type === 'send') transport.send(action.to, encodeMessage(action.message))
      if (action.type === 'dial') transport.dial(action.addresses, action.peer).catch(() => undefined)
      if (action.type === 'check-copy') accused.push(action.key)
      if (action.type === 'member') transport.setAddresses(action.member.id, action.member.addresses)
    },
    failed(error) {
      throw error
    }
  })
  dispatch = loop.dispatch
  dispatch({ type: 'join', addresses })
  return {
    id,
    asked,
    accused,
    send: (to, message) => transport.send(to, encodeMessage(message)),
    async [Symbol.asyncDispose]() {
      loop.stop()
      await transport.close()
    }
  }
}
