import { join } from 'node:path'
import { type BlockKey, CairnError, SLOTS, slotOf } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Catalog, type CatalogBatch } from '../src/catalog.ts'
import { sampleBlock } from '../src/contract.ts'
import type { Row } from '../src/row.ts'
import { inScratch } from './scratch.ts'

const catalogs = suite('Catalog')

const STATE = { nonce: 'ab', applied: { segment: 1, offset: 4096 }, blocks: 2, bytes: 5 }
const ROW: Row = { block: { segment: 1, offset: 4096, size: 9 }, claims: [] }

function batch(keys: readonly string[], gone = false): CatalogBatch {
  const row = gone ? undefined : ROW
  return { rows: keys.map((key) => [key as BlockKey, row] as const), segments: [], state: STATE }
}

/** Keys of each hash in slot 5, then in slot 6. */
const KEYS = ['1220', '1340', '1e20'].flatMap((prefix) =>
  ['0005', '0006'].map((slot) => `${prefix}${slot}${'ab'.repeat(prefix === '1340' ? 62 : 30)}`)
)

async function withCatalog(work: (catalog: Catalog) => Promise<void>): Promise<void> {
  await inScratch(async (directory) => {
    const catalog = await Catalog.open(join(directory, 'index'), 1 << 20)
    try {
      await work(catalog)
    } finally {
      await catalog.close()
    }
  })
}

catalogs('rows, segments and state are what was last applied', () =>
  withCatalog(async (catalog) => {
    const keys = [sampleBlock(1).key, sampleBlock(2).key]
    const segment = { size: 9, live: 5, sealed: true, scrubbedAtMs: 0 }
    assert.is(await catalog.state(), undefined)
    await catalog.apply({ ...batch(keys), segments: [[7, segment]] }, true)
    await catalog.apply(batch([keys[1] as string], true), false)
    assert.equal(await catalog.rows([...keys, sampleBlock(3).key]), [ROW, undefined, undefined])
    assert.equal(await catalog.row(keys[0] as BlockKey), ROW)
    assert.equal(await catalog.segments(), new Map([[7, segment]]))
    assert.equal(await catalog.state(), STATE)
    await catalog.apply({ ...batch([]), segments: [[7, undefined]] }, false)
    assert.is((await catalog.segments()).size, 0)
  })
)

catalogs('many slots are read as one by one, dense or far apart, until no more of one is wanted', () =>
  withCatalog(async (catalog) => {
    const about = {
      sequence: 1,
      live: true,
      replicas: 3,
      segment: 1,
      offset: 2,
      length: 3,
      crc: 4,
      weight: 5
    }
    // so large that LevelDB gives fewer at once than it is asked for
    const claims = [1, 2, 3, 4, 5, 6, 7, 8].map((i) => ({ claimant: `0${i}`.repeat(33), ...about }))
    const row: Row = { ...ROW, claims }
    const rows: [BlockKey, Row][] = []
    for (let i = 0; i < 6_000; i++) {
      // half of them crowded into 40 slots, the rest spread over all
      const slot = i % 2 === 0 ? 500 + (i % 40) : (i * 7_919) % SLOTS
      const hash = i % 10 === 0 ? '1340' : i % 7 === 0 ? '1e20' : '1220'
      const rest = i.toString(16).padStart(hash === '1340' ? 124 : 60, '0')
      rows.push([`${hash}${slot.toString(16).padStart(4, '0')}${rest}` as BlockKey, row])
    }
    await catalog.apply({ rows, segments: [], state: STATE }, false)
    const everything = Array.from({ length: SLOTS }, (_, slot) => slot)
    const some = (step: number) => everything.filter((slot) => slot % step === 0)
    for (const slots of [everything, some(97), some(8_191), [500, 501, 539], [0, SLOTS - 1], [7]]) {
      const found: string[] = []
      await catalog.slots(slots, (slot, key) => {
        assert.is(slotOf(key), slot)
        return found.push(key) > 0
      })
      const wanted = new Set(slots)
      const expected = rows.map(([key]) => key).filter((key) => wanted.has(slotOf(key)))
      assert.equal(found, expected.sort(), `${slots.length} slots`)
    }
    const first = new Map<string, number>()
    await catalog.slots(everything, (slot, key) => {
      const of = `${key.slice(0, 4)} ${slot}`
      first.set(of, (first.get(of) ?? 0) + 1)
      return false
    })
    assert.ok(
      [...first.values()].every((count) => count === 1),
      'one row of a slot was enough'
    )
  })
)

catalogs('a slot is read in order of key over all hashes', () =>
  withCatalog(async (catalog) => {
    await catalog.apply(batch(KEYS.toReversed()), false)
    const inFive = KEYS.filter((key) => slotOf(key as BlockKey) === 5)
    assert.equal(await keysOf(catalog.slot(5)), inFive)
    assert.equal(await keysOf(catalog.slot(5, inFive[0] as BlockKey)), inFive.slice(1))
    assert.equal(await keysOf(catalog.slot(5, inFive[2] as BlockKey)), [])
    assert.equal(await keysOf(catalog.slot(4)), [])
    assert.equal(await keysOf(catalog.all()), KEYS)
  })
)

async function keysOf(rows: AsyncIterable<[BlockKey, Row]>): Promise<string[]> {
  const keys: string[] = []
  for await (const [key] of rows) keys.push(key)
  return keys
}

catalogs('runs of slots give every row once, in order, however full a slot is', () =>
  withCatalog(async (catalog) => {
    const full = Array.from({ length: 2500 }, (_, i) => `12200006${i.toString(16).padStart(60, '0')}`)
    const keys = [...KEYS, ...full]
    await catalog.apply(batch(keys), false)
    const seen: string[] = []
    for (let from = 0; from < SLOTS; ) {
      const { slots, end } = await catalog.run(from)
      assert.ok(end > from)
      for (const [slot, rows] of slots) {
        assert.ok(slot >= from && slot < end)
        const inSlot = rows?.map(([key]) => key as string) ?? (await keysOf(catalog.slot(slot)))
        for (const key of inSlot) assert.is(slotOf(key as BlockKey), slot)
        assert.equal(inSlot, [...inSlot].sort())
        seen.push(...inSlot)
      }
      from = end
    }
    assert.equal(seen.sort(), keys.sort())
  })
)

catalogs('what is applied survives opening again', () =>
  withCatalog(async (catalog) => {
    await catalog.apply(batch([KEYS[0] as string]), true)
    await catalog.setScrubbed({ segment: 3, offset: 4 })
    await catalog.reopen()
    assert.equal(await catalog.row(KEYS[0] as BlockKey), ROW)
    assert.equal(await catalog.scrubbed(), { segment: 3, offset: 4 })
    assert.ok((await catalog.diskBytes()) > 0)
    const second = await Catalog.open(catalog.directory, 1 << 20).catch((cause) => cause)
    assert.ok(CairnError.is(second, 'LOCKED'))
  })
)

catalogs.run()
