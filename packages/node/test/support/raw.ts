/** A member in good standing whose every byte the test writes itself. */
import { CairnError, type PeerId } from '@cairn/core'
import { noise } from '@chainsafe/libp2p-noise'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { HELLO_PROTOCOL, type Role, sayHello } from '../../src/admission.ts'
import type { Network } from '../../src/network.ts'
import type { TestPeer } from './peers.ts'

export async function openRaw() {
  const node = await createLibp2p({
    privateKey: await generateKeyPair('Ed25519'),
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false }
  })
  const self = node.peerId.toString() as PeerId
  return {
    id: self,
    /** A fresh connection, admitted for a role. */
    async enter(peer: TestPeer, network: Network, role: Role) {
      const address = multiaddr(peer.transport.addresses()[0])
      const connection = await node.dial(address, { force: true })
      const hello = await connection.newStream(HELLO_PROTOCOL)
      const signal = AbortSignal.timeout(30_000)
      await sayHello(hello, role, { self, peer: peer.id, credentials: network, addresses: [], signal })
      return connection
    },
    [Symbol.asyncDispose]: async () => node.stop()
  }
}

/** The code of a CairnError thrown by `read`, or what else came of it. */
export async function outcomeOf(read: () => Promise<unknown>): Promise<string> {
  try {
    await read()
    return 'accepted'
  } catch (cause) {
    return CairnError.is(cause) ? cause.code : String(cause)
  }
}
