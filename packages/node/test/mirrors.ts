// limit: 240 s
import { randomBytes } from 'node:crypto'
import { type Block, CHUNK_BYTES, fileBlocks } from '@cairn/blocks'
import type { CID } from 'multiformats/cid'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { CairnNode, MirrorView } from '../src/api.ts'
import { eventually, type Nodes, onDisk, openNodes } from './support/nodes.ts'
import { codeOf } from './support/peers.ts'
import { scoped } from './support/scope.ts'

const mirrors = suite('mirrors of nodes')

/** A file of some chunks, the first of which are the same each time. */
async function fileOf(same: readonly Uint8Array[], fresh: number): Promise<{ root: CID; blocks: Block[] }> {
  const chunks = [...same, ...Array.from({ length: fresh }, () => new Uint8Array(randomBytes(CHUNK_BYTES)))]
  const writing = fileBlocks(
    (async function* () {
      yield* chunks
    })()
  )
  const blocks: Block[] = []
  let next = await writing.next()
  for (; next.done !== true; next = await writing.next()) blocks.push(next.value)
  return { root: next.value.cid, blocks }
}

/** Longer than a slow machine takes between two reads. */
const LEASE_MS = 4_000

const SAME = Array.from({ length: 3 }, () => new Uint8Array(randomBytes(CHUNK_BYTES)))

async function point(node: CairnNode, name: string, file: Awaited<ReturnType<typeof fileOf>>) {
  await node.upload('cd'.repeat(16)).put(file.blocks)
  return node.refs.set(name, { root: file.root })
}

async function mirrorOf(node: CairnNode): Promise<MirrorView> {
  const [one] = await node.mirrors.list()
  assert.ok(one, 'it mirrors')
  return one
}

const has = (node: CairnNode, sequence: number) => async () => {
  const { whole, phase, lag } = await mirrorOf(node)
  return whole?.sequence === sequence && phase === 'following' && lag.updates === 0
}

/** Of a stopped node, which blocks are on its disk, whatever keeps them. */
async function heldAt(net: Nodes, i: number, blocks: readonly Block[]): Promise<number> {
  return (await onDisk(net.home(i), blocks)).filter((stat) => stat !== undefined).length
}

mirrors(
  'a mirror has all of a ref beyond N, follows it, survives a restart, and frees what nothing needs',
  scoped(async (use) => {
    const net = use(await openNodes(3, { create: { open: false, replicas: 1 } }))
    const [one, , three] = net.nodes as [CairnNode, CairnNode, CairnNode]
    const ref = { owner: one.id, name: 'photos' }
    const first = await fileOf(SAME, 3)
    await point(one, 'photos', first)
    const counted = async () => (await one.status()).byCopies
    await eventually(async () => (await counted()).at(-1) === 7, 'all have their one copy')
    const added = await three.mirrors.add(ref, { lagMs: 1_000 })
    assert.equal([added.name, added.whole], ['photos', undefined])
    await eventually(has(three, 1), 'the first root is whole')
    const { whole } = await mirrorOf(three)
    assert.is(`${whole?.root}`, `${first.root}`)
    assert.is(whole?.blocks, 7)
    assert.is(
      whole?.bytes,
      first.blocks.reduce((sum, { bytes }) => sum + bytes.length, 0)
    )
    // a slow holder's stand-in may hold some too, until it was compared with
    await eventually(async () => `${await counted()}` === '0,7', 'no copy is counted for it')
    const second = await fileOf(SAME, 2)
    await point(one, 'photos', second)
    await eventually(has(three, 2), 'it follows')
    await three.stop()
    assert.is(await heldAt(net, 2, second.blocks), second.blocks.length)
    const old = first.blocks.filter(({ cid }) => !second.blocks.some((block) => block.cid.equals(cid)))
    const kept = await onDisk(net.home(2), old)
    assert.ok(
      kept.every((stat) => stat === undefined || stat.claims.length > 0),
      'of the old root only what the member holds anyway'
    )
    const again = await net.restart(2, { join: one.invite() })
    await net.gathered()
    await eventually(has(again, 2), 'after a restart it is still there')
    const third = await fileOf(SAME, 1)
    await point(one, 'photos', third)
    await eventually(has(again, 3), 'and follows')
    await again.mirrors.remove(ref)
    assert.equal(await again.mirrors.list(), [])
    assert.is(await codeOf(again.mirrors.remove(ref)), 'NOT_FOUND')
    await again.stop()
    const left = await onDisk(net.home(2), third.blocks)
    assert.ok(
      left.every((stat) => stat === undefined || stat.claims.length > 0),
      'what it held for the mirror alone is gone'
    )
    const back = await net.restart(2, { join: one.invite() })
    await net.gathered()
    assert.equal(await back.mirrors.list(), [], 'removed for good')
    await back.mirrors.add(ref)
    await eventually(has(back, 3), 'and can be added again')
    await back.stop()
    assert.is(await heldAt(net, 2, third.blocks), third.blocks.length)
  })
)

mirrors(
  'a mirror with a lease has all of a ref once it is read much, and lets go of it when that is over',
  scoped(async (use) => {
    const net = use(await openNodes(3, { create: { open: false, replicas: 1 } }))
    const [one, two, three] = net.nodes as [CairnNode, CairnNode, CairnNode]
    const ref = { owner: one.id, name: 'photos' }
    const { blocks, root } = await fileOf(SAME, 3)
    await one.upload('cd'.repeat(16)).put(blocks)
    await one.refs.set('photos', { root })
    assert.is(await codeOf(three.mirrors.add(ref, { leaseMs: 1 })), 'BAD_REQUEST')
    await three.mirrors.add(ref, { lagMs: 1_000, leaseMs: LEASE_MS })
    const phase = async () => (await mirrorOf(three)).phase
    await eventually(async () => (await phase()) === 'waiting', 'nobody reads it')
    await two.refs.get(ref)
    let reading = true
    const reader = (async () => {
      for (; reading; await new Promise((resolve) => setTimeout(resolve, 20))) {
        await Promise.all(blocks.map(({ cid }) => two.get(cid, { ref })))
      }
    })()
    reader.catch(() => {}) // told by awaiting it, unless something else fails first
    await eventually(has(three, 1), 'it is read much')
    const leased = async () => ((await mirrorOf(three)).lease?.leftMs ?? 0) > 0
    await eventually(leased, 'as long as it is read it has a lease')
    reading = false
    await reader
    await eventually(async () => (await phase()) === 'waiting', 'it is read no more')
    assert.is((await mirrorOf(three)).whole, undefined)
    await three.stop()
    const left = await onDisk(net.home(2), blocks)
    assert.ok(left.every((stat) => stat === undefined || stat.claims.length > 0))
    const again = await net.restart(2, { join: one.invite() })
    assert.equal((await mirrorOf(again)).lease, { ms: LEASE_MS, leftMs: 0 }, 'it is willing after a restart')
  })
)

mirrors(
  'of a ref that is removed what was whole stays',
  scoped(async (use) => {
    const net = use(await openNodes(3, { create: { open: false, replicas: 1 } }))
    const [one, two] = net.nodes as [CairnNode, CairnNode]
    const file = await fileOf(SAME, 2)
    await point(one, 'photos', file)
    await two.mirrors.add({ owner: one.id, name: 'photos' }, { lagMs: 1_000 })
    await eventually(has(two, 1), 'it is whole')
    await one.refs.set('photos', { root: undefined })
    await eventually(
      async () => (await mirrorOf(two)).primary?.root === undefined,
      'it is seen to be removed'
    )
    assert.is((await mirrorOf(two)).whole?.sequence, 1, 'and what was whole stays')
  })
)

mirrors.run()
