import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Block, CHUNK_BYTES, cidOf, fileBlocks, keyOf } from '@cairn/blocks'
import { type HeldClaim, signChange } from '@cairn/core'
import { openStore } from '@cairn/store'
import type { CID } from 'multiformats/cid'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { cryptoOf, openIdentity } from '../src/identity.ts'
import { openOldPins } from '../src/old-pins.ts'
import { temporary } from './support/home.ts'
import { eventually, openNodes } from './support/nodes.ts'
import { codeOf } from './support/peers.ts'
import { scoped } from './support/scope.ts'

const CAPACITY_BYTES = 512 * 1024 * 1024
const pins = suite('pins as they were')
const cid = (n: number) => cidOf(Uint8Array.of(n))
const pin = (n: number, upload: string, replicas = 3) => {
  return { root: cid(n), upload, name: undefined, replicas, blocks: 1, bytes: 1, createdMs: 1, lifetimeMs: 0 }
}

pins(
  'a pin lives as long as one of its uploads, at the most N that any asked for',
  scoped(async (use) => {
    const { path } = use(await temporary())
    const kept = openOldPins(path, () => assert.unreachable())
    assert.equal(await kept.list(), [], 'before the first')
    await Promise.all([1, 2, 3, 4, 5].map((n) => kept.add(pin(1, `u${n}`, n))))
    await kept.add(pin(1, 'u5', 1))
    const found = await kept.find(cid(1))
    assert.equal([...(found?.uploads ?? [])].sort(), ['u1', 'u2', 'u3', 'u4', 'u5'])
    assert.is(found?.pin.replicas, 5)
    await kept.remove(cid(1), ['u1', 'u2', 'u3', 'u4'])
    assert.equal((await openOldPins(path, () => undefined).find(cid(1)))?.uploads, ['u5'])
    await kept.remove(cid(1), ['u5'])
    assert.is(await kept.find(cid(1)), undefined)
    await kept.remove(cid(1), ['u5'])
  })
)

pins(
  'a pin keeps the digest records of all its uploads, and names the latest',
  scoped(async (use) => {
    const { path } = use(await temporary())
    const kept = openOldPins(path, () => assert.unreachable())
    await kept.add({ ...pin(1, 'u1'), digests: cid(7) })
    await kept.add({ ...pin(1, 'u2'), digests: cid(8) })
    await kept.add(pin(1, 'u3')) // a put without digests takes none away
    await kept.add({ ...pin(1, 'u4'), digests: cid(7) })
    const found = await openOldPins(path, () => undefined).find(cid(1))
    assert.equal(found?.digests.map(String), [`${cid(8)}`, `${cid(7)}`])
    assert.is(`${found?.pin.digests}`, `${cid(7)}`)
    assert.is(`${(await kept.list())[0]?.digests}`, `${cid(7)}`)
  })
)

pins(
  'a damaged file is told, hides no other, and is mended by putting again',
  scoped(async (use) => {
    const { path } = use(await temporary())
    const told: string[] = []
    const kept = openOldPins(path, (_level, text) => void told.push(text))
    await kept.add(pin(1, 'u1'))
    await kept.add(pin(2, 'u2'))
    const [name] = (await readdir(join(path, 'pins'))).filter((one) => one.startsWith(`${cid(1)}`)) as [
      string
    ]
    for (const content of ['', '{"version":1}', '{"version":1,"root":"no","uploads":["a"]']) {
      await writeFile(join(path, 'pins', name), content)
      assert.equal(
        (await kept.list()).map(({ root }) => `${root}`),
        [`${cid(2)}`]
      )
      assert.is(await codeOf(kept.find(cid(1))), 'BAD_CONFIG')
    }
    assert.is(told.length, 3)
    assert.match(told[0] as string, 'is damaged')
    await kept.add(pin(1, 'u3'))
    assert.is((await kept.list()).length, 2)
  })
)

/** What a node of then left of an upload: blocks under the upload's claims, and the pin's file. */
async function oldUpload(home: string, { id, network }: { id: string; network: string }): Promise<CID> {
  const { root, blocks } = await someFile()
  const identity = await openIdentity(join(home, 'identity.key'))
  const about = { network, owner: identity.id, kind: 'upload', id: id.padEnd(64, '0') } as const
  const change = { ...about, sequence: 1, live: true, replicas: 1, lifetimeMs: 0 }
  const keys = blocks.map(({ cid }) => keyOf(cid))
  const claims = signChange(change, keys, cryptoOf(identity))
  const store = await openStore({ directory: join(home, 'store'), capacity: CAPACITY_BYTES })
  await store.put(
    blocks.map(({ cid, bytes }) => {
      const key = keyOf(cid)
      return { key, bytes, claims: [claims.get(key) as HeldClaim], verified: true }
    })
  )
  await store.close()
  await openOldPins(home, () => assert.unreachable()).add({ ...pin(1, id, 1), root, name: 'a.bin' })
  return root
}

async function someFile(): Promise<{ root: CID; blocks: Block[] }> {
  const blocks: Block[] = []
  const writing = fileBlocks(
    (async function* () {
      for (const byte of [1, 2, 3]) yield new Uint8Array(CHUNK_BYTES).fill(byte)
    })()
  )
  let next = await writing.next()
  for (; next.done !== true; next = await writing.next()) blocks.push(next.value)
  return { root: next.value.cid, blocks }
}

pins(
  'a home of then is gone on with: its pins are refs, keep what they kept, and let go of it when removed',
  scoped(async (use) => {
    const hasty = { uploadIdleMs: 1_000, collectGraceMs: 500, collectIntervalMs: 200 }
    const net = use(await openNodes(1, { create: { open: false, replicas: 1 }, config: hasty }))
    const { network } = net.at(0)
    await net.at(0).stop()
    const root = await oldUpload(net.home(0), { id: 'cd'.repeat(16), network: network.id })
    const node = await net.restart(0, { config: hasty })
    assert.equal(
      (await node.pins()).map(({ name }) => name),
      ['a.bin'],
      'from the start'
    )
    const files = async () => (await readdir(join(net.home(0), 'pins'))).length
    await eventually(async () => (await files()) === 0, 'its pin is a ref')
    assert.equal(
      (await node.pins()).map(({ name, root: at }) => [name, `${at}`]),
      [['a.bin', `${root}`]]
    )
    assert.is((await node.status()).usage.blocks, 4)
    await node.unpin(root)
    await eventually(async () => (await node.status()).usage.blocks === 0, 'what it kept is collected')
  })
)

pins.run()
