import { getEventListeners } from 'node:events'
import { type Block, keyOf } from '@cairn/blocks'
import {
  type BlockKey,
  CairnError,
  type CoreEvent,
  type PeerId,
  signChange,
  trustedHeaders
} from '@cairn/core'
import { memoryStore } from '@cairn/store'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { CairnNode } from '../src/api.ts'
import type { FetchOptions, Got } from '../src/bulk.ts'
import { cryptoOf } from '../src/identity.ts'
import { createReads } from '../src/reads.ts'
import type { Shell } from '../src/shell.ts'
import { blocksOf, openNodes, sameBytes, uploadOn } from './support/nodes.ts'
import { codeOf, until } from './support/peers.ts'
import { scoped } from './support/scope.ts'
import { joinStub } from './support/stub.ts'

const reads = suite('reads')
const ONE_COPY = { create: { open: false, replicas: 1 } }

const knows = (node: CairnNode, id: string) =>
  node.peers().some((peer) => peer.id === id && peer.state === 'alive')

/** A stub that gives the bytes of its blocks once the gate is open. */
function gated(blocks: readonly Block[]) {
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  const bytes = new Map(blocks.map((block) => [keyOf(block.cid), block.bytes]))
  const read = async (_from: string, key: string) => {
    await gate
    const found = bytes.get(key as Parameters<typeof bytes.get>[0])
    return found && { bytes: found, proofs: [] }
  }
  return { open, read }
}

reads(
  'a hundred that ask for a block at once cause one fetch',
  scoped(async (use) => {
    const net = use(await openNodes(1, ONE_COPY))
    const [block] = blocksOf(1) as [Block]
    const { open, read } = gated([block])
    const stub = use(await joinStub(net.at(0), { read }))
    await until(() => knows(net.at(0), stub.id), 'the stub is a member')
    const all = Array.from({ length: 100 }, () => net.at(0).get(block.cid))
    await until(() => stub.asked.length > 0, 'it is asked')
    open()
    for (const bytes of await Promise.all(all)) assert.ok(sameBytes(bytes, block.bytes))
    assert.is(stub.asked.length, 1)
  })
)

reads(
  'of two readers one may go, the last takes the wish along, and no listener stays',
  scoped(async (use) => {
    const net = use(await openNodes(1, ONE_COPY))
    const [block, other] = blocksOf(2) as [Block, Block]
    const { open, read } = gated([block, other])
    const stub = use(await joinStub(net.at(0), { read }))
    await until(() => knows(net.at(0), stub.id), 'the stub is a member')
    const [stays, goes] = [new AbortController(), new AbortController()]
    const reason = new CairnError('TIMEOUT', 'enough')
    const kept = net.at(0).get(block.cid, { signal: stays.signal })
    const given = codeOf(net.at(0).get(block.cid, { signal: goes.signal }))
    const alone = codeOf(net.at(0).get(other.cid, { signal: goes.signal }))
    await until(() => stub.asked.length === 2, 'both blocks are asked for')
    goes.abort(reason)
    assert.is(await given, 'TIMEOUT')
    assert.is(await alone, 'TIMEOUT')
    open()
    assert.ok(sameBytes(await kept, block.bytes))
    assert.ok(sameBytes(await net.at(0).get(other.cid), other.bytes), 'it can be wanted again')
    assert.is(getEventListeners(stays.signal, 'abort').length, 0)
    assert.is(getEventListeners(goes.signal, 'abort').length, 0)
    const early = net.at(0).get(blocksOf(1)[0]?.cid as Block['cid'], { signal: stays.signal })
    stays.abort(reason) // while it still looks at the disk
    assert.is(await codeOf(early), 'TIMEOUT')
  })
)

reads(
  'a holder that gives wrong bytes is passed over, and the reader sees nothing of it',
  scoped(async (use) => {
    const net = use(await openNodes(2, { create: { open: false, replicas: 2 } }))
    const [reader, holder] = net.nodes as [CairnNode, CairnNode]
    const blocks = blocksOf(60)
    const liar = use(
      await joinStub(reader, { read: async () => ({ bytes: new Uint8Array(10_000), proofs: [] }) })
    )
    await until(() => knows(reader, liar.id) && knows(holder, liar.id), 'the liar is a member')
    const elsewhere: Block[] = []
    for (const block of blocks) {
      const { holders } = await uploadOn(holder).put([block], { replicas: 1 })
      if (holders[0]?.peer === holder.id) elsewhere.push(block)
    }
    assert.ok(elsewhere.length > 5, `${elsewhere.length} of 60 on the honest one`)
    for (const { cid, bytes } of elsewhere) assert.ok(sameBytes(await reader.get(cid), bytes))
    assert.ok(liar.asked.length > 0, 'it was asked, and lied')
  })
)

reads(
  'a block that nobody has is an error that names who was asked',
  scoped(async (use) => {
    const net = use(await openNodes(2, ONE_COPY))
    const [block] = blocksOf(1) as [Block]
    const error = await net
      .at(0)
      .get(block.cid)
      .catch((cause: unknown) => cause)
    assert.ok(CairnError.is(error, 'NO_PROVIDER'), String(error))
    assert.match(error.message, net.at(1).name)
    assert.match(error.hint ?? '', 'cairn status')
  })
)

reads(
  'a stop ends the reads under way, and those to come',
  scoped(async (use) => {
    const net = use(await openNodes(1, ONE_COPY))
    const [block] = blocksOf(1) as [Block]
    const { open, read } = gated([block])
    const stub = use(await joinStub(net.at(0), { read }))
    await until(() => knows(net.at(0), stub.id), 'the stub is a member')
    const pending = codeOf(net.at(0).get(block.cid))
    await until(() => stub.asked.length > 0, 'it is asked')
    await net.at(0).stop()
    assert.is(await pending, 'UNREACHABLE')
    assert.is(await codeOf(net.at(0).get(block.cid)), 'UNREACHABLE')
    open()
  })
)

reads(
  'wrong bytes fetched to be kept are told as corrupt, whoever finds it, and are not kept',
  scoped(async (use) => {
    const store = memoryStore({ capacity: 2 ** 24 })
    use({ [Symbol.asyncDispose]: () => store.close() })
    const privateKey = await generateKeyPair('Ed25519')
    const id = peerIdFromPrivateKey(privateKey).toString() as PeerId
    const crypto = cryptoOf({ id, privateKey })
    const [good, bad] = blocksOf(2).map(({ cid, bytes }) => ({ key: keyOf(cid), bytes })) as [Got, Got]
    const change = { network: 'ab'.repeat(16), owner: id, kind: 'upload', id: 'cd'.repeat(32) } as const
    const keys = [good.key, bad.key]
    const terms = { sequence: 1, live: true, replicas: 1, lifetimeMs: 0 }
    const claims = signChange({ ...change, ...terms }, keys, crypto)
    const told: CoreEvent[] = []
    const shell = {
      network: { id: change.network },
      ...{ store, crypto, id, trusted: trustedHeaders(10) },
      dispatch: (event: CoreEvent) => void told.push(event),
      during: <T>(work: Promise<T>) => work,
      ...{ changed() {}, log() {}, nameOf: (peer: PeerId) => peer },
      events: { emit() {} },
      core: { fetches: { wants: { byKey: new Map() } } },
      transport: {
        async fetchBlocks(_from: PeerId, asked: readonly BlockKey[], { onBlock }: FetchOptions) {
          for (const key of asked) {
            await onBlock({
              key,
              bytes: good.bytes as Uint8Array,
              proofs: [claims.get(key)?.proof as Uint8Array]
            })
          }
        }
      }
    } as unknown as Shell
    const fetching = createReads(() => shell)
    fetching.fetch({ type: 'fetch-blocks', transfer: 1, from: id, keys, purpose: 'repair', yields: true })
    await until(() => told.some(({ type }) => type === 'fetch-ended'), 'the transfer ends')
    fetching.close(new CairnError('UNREACHABLE', 'done'))
    const outcomes = told.flatMap((event) => (event.type === 'fetched' ? [[event.key, event.outcome]] : []))
    assert.equal(
      new Map(outcomes as [BlockKey, string][]),
      new Map([
        [good.key, 'held'],
        [bad.key, 'corrupt']
      ])
    )
    assert.is(await store.get(bad.key), undefined)
  })
)

reads.run()
