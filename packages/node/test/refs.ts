// limit: 180 s
import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Block, CHUNK_BYTES, cidOf, fileBlocks, keyOf } from '@cairn/blocks'
import { decodeRefBody, type PeerId, refSigned, SLOTS, sealRef } from '@cairn/core'
import { openStore } from '@cairn/store'
import type { CID } from 'multiformats/cid'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { CairnNode } from '../src/api.ts'
import { cryptoOf, openIdentity } from '../src/identity.ts'
import { temporary } from './support/home.ts'
import { eventually, openNodes } from './support/nodes.ts'
import { codeOf } from './support/peers.ts'

const refs = suite('refs of nodes')
const root = (n: number) => cidOf(Uint8Array.of(n))

/** What the names of a test point to: a name is not pointed to what nobody keeps. */
async function putRoots(node: CairnNode): Promise<void> {
  const blocks = [1, 2, 3].map((n) => ({ cid: root(n), bytes: Uint8Array.of(n) }))
  await node.upload('cd'.repeat(16)).put(blocks)
}

refs('what one sets every other reads, also after all have started again', async () => {
  const cluster = await openNodes(3)
  try {
    await cluster.gathered()
    const [one] = cluster.nodes as [CairnNode]
    const ref = { owner: one.id, name: 'photos' }
    assert.is(await codeOf(one.refs.set('photos', { root: root(1) })), 'NO_PROVIDER')
    await putRoots(one)
    const first = await one.refs.set('photos', { root: root(1), metadata: { size: '1' } })
    assert.is(first.sequence, 1)
    assert.ok(first.receipts.length >= 2, `${first.receipts.length} receipts`)
    const second = await one.refs.set('photos', { root: root(2) })
    assert.is(second.sequence, 2)
    for (const node of cluster.nodes) {
      const found = await node.refs.get(ref, { latest: true })
      assert.is(`${found?.root}`, `${root(2)}`)
      assert.equal(
        found?.history.map((past) => `${past.root}`),
        [`${root(1)}`]
      )
      assert.is(found?.metadata.size, '1')
      assert.ok(found?.quorum)
    }
    assert.is(await codeOf(one.refs.set('photos', { root: root(3), ifSequence: 1 })), 'REF_STALE')
    assert.is(await codeOf(one.refs.set('a/b', { root: root(3) })), 'BAD_NAME')
    await cluster.stopAll()
    await cluster.restart(0)
    for (const i of [1, 2]) await cluster.restart(i, { join: cluster.at(0).invite() })
    await cluster.gathered()
    const again = cluster.at(0)
    assert.is((await again.refs.get(ref, { latest: true }))?.sequence, 2)
    assert.is((await again.refs.set('photos', { root: root(3), ifSequence: 2 })).sequence, 3)
    assert.is((await cluster.at(2).refs.list()).length, 1)
    await again.refs.set('photos', { root: undefined })
    await eventually(async () => (await cluster.at(2).refs.list()).length === 0, 'no member lists it')
    const files = async () => await readdir(join(cluster.home(1), 'refs'))
    await eventually(async () => (await files()).some((name) => name.endsWith('.ref')), 'it is on disk')
  } finally {
    await cluster[Symbol.asyncDispose]()
  }
})

refs('a key that no node has signs what any node carries; a lost member stops nothing', async () => {
  const cluster = await openNodes(4)
  const keys = await temporary()
  try {
    await cluster.gathered()
    await putRoots(cluster.at(0))
    const crypto = cryptoOf(await openIdentity(join(keys.path, 'key')))
    const owner = (await openIdentity(join(keys.path, 'key'))).id
    const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()
    const set = async (node: CairnNode, n: number): Promise<string> => {
      const draft = await node.refs.draft({ owner, name: 'site', root: root(n) })
      if (draft.type !== 'draft') return draft.type
      const body = decodeRefBody(draft.body)
      const record = sealRef(body, crypto.sign(refSigned(body)), { sha256 })
      return (await node.refs.propose(record.bytes)).type
    }
    assert.is(await set(cluster.at(0), 1), 'acknowledged')
    assert.is(await set(cluster.at(1), 2), 'acknowledged')
    await cluster.at(1).stop()
    assert.is(await set(cluster.at(2), 3), 'acknowledged')
    const ref = { owner: owner as PeerId, name: 'site' }
    assert.is((await cluster.at(3).refs.get(ref, { latest: true }))?.sequence, 3)
  } finally {
    await cluster[Symbol.asyncDispose]()
    await keys[Symbol.asyncDispose]()
  }
})

refs('what a name points to is claimed for it, and of the next tree only what is new', async () => {
  const cluster = await openNodes(3)
  try {
    await cluster.gathered()
    const [one] = cluster.nodes as [CairnNode]
    const file = async function* (size: number, last: number) {
      const bytes = new Uint8Array(size).fill(7)
      bytes[size - 1] = last
      yield bytes
    }
    const put = async (last: number) => {
      const blocks: Block[] = []
      const writing = fileBlocks(file(4 * CHUNK_BYTES, last))
      let next = await writing.next()
      for (; next.done !== true; next = await writing.next()) blocks.push(next.value)
      await one.upload('ef'.repeat(16)).put(blocks)
      return { root: next.value.cid, blocks }
    }
    const first = await put(1)
    await one.refs.set('big', { root: first.root })
    const second = await put(2)
    await one.refs.set('big', { root: second.root })
    await cluster.stopAll()
    const held = await claimsAt(cluster.home(0))
    const sequences = (cid: CID) =>
      held
        .get(keyOf(cid))
        ?.filter(({ kind }) => kind === 0)
        .map((c) => c.sequence)
    assert.equal(sequences(first.root), [1])
    assert.equal(sequences(second.root), [2])
    const shared = second.blocks.find(({ cid }) => first.blocks.some((block) => block.cid.equals(cid)))
    assert.equal(sequences((shared as Block).cid), [1], 'claimed once')
  } finally {
    await cluster[Symbol.asyncDispose]()
  }
})

/** The claims on each block of a disk: kind and sequence. */
async function claimsAt(home: string) {
  const store = await openStore({
    directory: join(home, 'store'),
    capacity: 2 ** 30,
    onLost() {},
    onError() {}
  })
  try {
    const found = new Map<string, { kind: number; sequence: number }[]>()
    for (let slot = 0; slot < SLOTS; slot++) {
      for (const { key, claims } of await store.list(slot, { limit: 100 })) {
        const kinds = claims.map(({ claimant, sequence }) => {
          return { kind: Number.parseInt(claimant.slice(0, 2), 16), sequence }
        })
        found.set(key, kinds)
      }
    }
    return found
  } finally {
    await store.close()
  }
}

refs.run()
