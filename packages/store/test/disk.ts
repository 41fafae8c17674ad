// limit: 120 s
import { execFileSync } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BlockKey, CairnError, pick, seeded } from '@cairn/core'
import { CarBlockIterator } from '@ipld/car'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sampleBlock, sampleClaim, storeContract } from '../src/contract.ts'
import { type DiskStore, openStore, rebuildStore } from '../src/disk.ts'
import { matches } from '../src/verify.ts'
import { CAPACITY_BYTES, damage, entry, inScratch, segmentNames, withStore } from './scratch.ts'

const disk = suite('openStore')

const facts = storeContract(async (options) => {
  const directory = await mkdtemp(join(tmpdir(), 'cairn-store-'))
  let store = await openStore({ ...options, directory })
  return {
    store,
    reopen: async () => {
      await store.close()
      store = await openStore({ ...options, directory })
      return store
    },
    damage: (key) => damage(directory, key),
    close: async () => {
      await store.close()
      await rm(directory, { recursive: true })
    }
  }
})
for (const [fact, check] of facts) disk(fact, check)

disk('every segment is a CAR file that other readers take, blocks and all', () =>
  inScratch(async (directory) => {
    const entries = [0, 1, 100, 32 * 1024 - 1, 32 * 1024, 100_000, 2 * 1024 * 1024].map((size, i) =>
      entry(i, size)
    )
    await withStore({ directory }, async (store) => {
      await store.put(entries)
      await store.delete([entries[2]?.key as BlockKey])
    })
    const found = new Set<string>()
    for (const name of await segmentNames(directory)) {
      const reader = await CarBlockIterator.fromBytes(await readFile(join(directory, name)))
      assert.is((await reader.getRoots()).length, 1)
      for await (const { cid, bytes } of reader) {
        const key = Buffer.from(cid.multihash.bytes).toString('hex') as BlockKey
        assert.ok(matches(key, bytes), 'a section is what its CID says')
        found.add(key)
      }
    }
    for (const { key } of entries) assert.ok(found.has(key))
  })
)

disk('random puts, claims, deletes, compactions and rebuilds leave what a map would hold', () =>
  inScratch(async (directory) => {
    const random = seeded(7)
    const model = new Map<BlockKey, Map<string, number>>()
    let store = await openStore({ directory, capacity: CAPACITY_BYTES })
    try {
      for (let round = 0; round < 60; round++) {
        await randomRound(store, { random, model, round })
        if (round % 12 !== 11) continue
        if (round % 24 === 11) await store.compactNow()
        await store.close()
        store = await openStore({ directory, capacity: CAPACITY_BYTES, rebuild: round % 36 === 23 })
        await compare(store, model)
      }
    } finally {
      await store.close()
    }
    await rebuildStore({ directory, capacity: CAPACITY_BYTES })
    await withStore({ directory }, (again) => compare(again, model))
  })
)

interface Play {
  random: () => number
  model: Map<BlockKey, Map<string, number>>
  round: number
}

async function randomRound(store: DiskStore, { random, model, round }: Play): Promise<void> {
  const calls: Promise<void>[] = []
  for (let i = 0; i < 15; i++) {
    const keys = [...model.keys()]
    const key = keys[pick(random, keys.length)]
    const claim = sampleClaim(`0${pick(random, 5)}`, {
      sequence: pick(random, 100),
      proof: new Uint8Array(pick(random, 2000))
    })
    const roll = random()
    if (key === undefined || roll < 0.5) {
      const block = sampleBlock(100 * round + i, 8 * (1 + pick(random, random() < 0.1 ? 100_000 : 1000)))
      calls.push(
        store.put([{ ...block, claims: [claim] }]).then(() => {
          model.set(block.key, new Map([[claim.claimant, claim.sequence]]))
        })
      )
    } else if (roll < 0.75) {
      const claims = model.get(key) as Map<string, number>
      claims.set(claim.claimant, Math.max(claims.get(claim.claimant) ?? -1, claim.sequence))
      calls.push(store.put([{ key, claims: [claim] }]))
    } else {
      model.delete(key)
      calls.push(store.delete([key]))
    }
  }
  await Promise.all(calls)
}

async function compare(store: DiskStore, model: ReadonlyMap<BlockKey, Map<string, number>>): Promise<void> {
  assert.is(store.usage().blocks, model.size)
  for (const [key, claims] of model) {
    assert.ok((await store.get(key)) !== undefined, `${key} is there`)
    const held = (await store.stat(key))?.claims ?? []
    assert.equal(
      new Map(held.map(({ claimant, sequence }) => [claimant, sequence])),
      new Map([...claims].sort())
    )
  }
}

disk('many claims of one block are kept, though no record may hold them all', () =>
  inScratch(async (directory) => {
    const claims = Array.from({ length: 1000 }, (_, i) =>
      sampleClaim(i.toString(16).padStart(4, '0'), { proof: new Uint8Array(4000).fill(i) })
    )
    const { key, bytes } = sampleBlock(1)
    await withStore({ directory }, (store) => store.put([{ key, bytes, claims }]))
    for (const rebuild of [false, true]) {
      await withStore({ directory, rebuild }, async (store) =>
        assert.equal((await store.stat(key))?.claims, claims)
      )
    }
    for (const name of await segmentNames(directory)) {
      const reader = await CarBlockIterator.fromBytes(await readFile(join(directory, name)))
      for await (const section of reader) assert.ok(section.bytes.length <= 2 * 1024 * 1024)
    }
  })
)

disk('what is on disk never exceeds the capacity, index and all', () =>
  inScratch(async (directory) => {
    let most = 0
    await withStore({ directory }, async (store) => {
      for (let seed = 0, refused = 0; refused < 5; seed += 20) {
        const entries = Array.from({ length: 20 }, (_, i) => entry(seed + i, 60_000))
        await store.put(entries).catch((cause) => {
          if (!CairnError.is(cause, 'FULL')) throw cause
          refused++
        })
        if (refused > 0) await store.delete(entries.map(({ key }) => key))
        most = Math.max(most, await bytesBelow(directory))
        assert.ok(store.usage().diskBytes <= CAPACITY_BYTES)
      }
    })
    assert.ok(most <= CAPACITY_BYTES, `${most} bytes on disk`)
    assert.ok(most > CAPACITY_BYTES / 2, 'and the capacity is made use of')
  })
)

async function bytesBelow(directory: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    bytes += await stat(join(entry.parentPath, entry.name)).then(
      ({ size }) => size,
      () => 0 // LevelDB removed it meanwhile
    )
  }
  return bytes
}

disk('a directory has one user at a time', () =>
  inScratch((directory) =>
    withStore({ directory }, async () => {
      const error = await openStore({ directory, capacity: CAPACITY_BYTES }).catch((cause) => cause)
      assert.ok(CairnError.is(error, 'LOCKED'), String(error))
    })
  )
)

disk('a copied directory is noticed until it is adopted', () =>
  inScratch(async (directory) => {
    const copy = join(directory, 'copy')
    const original = join(directory, 'original')
    await withStore({ directory: original }, async (store) => {
      await store.put([entry(1)])
      assert.is(store.copied, false)
      await store.scrubNow()
    })
    await cp(original, copy, { recursive: true })
    const copiedMs = Date.now()
    await withStore({ directory: original }, async (store) => assert.is(store.copied, false))
    await withStore({ directory: copy }, async (store) => assert.is(store.copied, true))
    await withStore({ directory: copy }, async (store) => {
      assert.is(store.copied, true)
      assert.is(store.usage().blocks, 1)
      const { id } = store.identity
      await store.adopt()
      assert.is.not(store.identity.id, id)
      assert.is(store.copied, false)
      const { oldestMs } = store.scrubStatus()
      assert.ok(oldestMs === 0 || oldestMs >= copiedMs, 'what the original verified was another disk')
    })
    await withStore({ directory: copy }, async (store) => assert.is(store.copied, false))
  })
)

disk('a copy taken while the store runs holds what was acknowledged before', () =>
  inScratch(async (directory) => {
    const [original, copy] = [join(directory, 'original'), join(directory, 'copy')]
    const before = Array.from({ length: 50 }, (_, i) => entry(i, 20_000))
    await withStore({ directory: original }, async (store) => {
      await store.put(before)
      const puts = Array.from({ length: 50 }, (_, i) => store.put([entry(100 + i, 20_000)]))
      execFileSync('cp', ['-r', original, copy])
      await Promise.all(puts)
    })
    await withStore({ directory: copy }, async (store) => {
      for (const { key, bytes } of before) assert.equal(await store.get(key), bytes)
      assert.is((await store.scrubNow()).lost.length, 0)
    })
  })
)

disk('a capacity that leaves no room is refused', () =>
  inScratch(async (directory) => {
    const error = await openStore({ directory, capacity: 1024 }).catch((cause) => cause)
    assert.ok(CairnError.is(error, 'BAD_CONFIG'))
  })
)

disk('getMany answers in the order asked, absent ones too', () =>
  inScratch((directory) =>
    withStore({ directory }, async (store) => {
      const entries = Array.from({ length: 40 }, (_, i) => entry(i, 3000))
      await store.put(entries)
      const asked = [...entries.toReversed(), entry(999)]
      const got = await store.getMany(asked.map(({ key }) => key))
      assert.equal(got, [...entries.toReversed().map(({ bytes }) => bytes), undefined])
    })
  )
)

disk.run()
