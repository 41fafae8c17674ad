import { join } from 'node:path'
import type { BlockKey } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Catalog, type SegmentRow } from '../src/catalog.ts'
import { sampleBlock, sampleClaim } from '../src/contract.ts'
import { Group } from '../src/group.ts'
import { Intake } from '../src/intake.ts'
import { effectOf, type Op } from '../src/plan.ts'
import { type Position, readRecord, recordSectionBytes } from '../src/record.ts'
import type { Row } from '../src/row.ts'
import type { WalkedGroup } from '../src/walk.ts'
import { inScratch } from './scratch.ts'

const intake = suite('Intake')

const NONCE = Buffer.alloc(16, 1)
const { key, bytes } = sampleBlock(1)
const PUT: Op = { type: 'put', key, bytes, claims: [sampleClaim('01', { sequence: 3 })] }
const HELD: Row = { block: { segment: 1, offset: 9000, size: bytes.length }, claims: [] }

function groupOf(op: Op, row: Row | undefined, at: Position): WalkedGroup {
  const group = new Group()
  const effect = effectOf(op, row)
  if (effect === undefined) throw new Error('the operation changes nothing')
  group.add(effect)
  const section = Buffer.concat(group.lay(at, { nonce: NONCE, durable: 0 }).buffers)
  const record = readRecord(section.subarray(0, recordSectionBytes(section)), NONCE, at)
  if (record === undefined) throw new Error('no record')
  return { record, section }
}

/** What the index holds of the block once the groups were taken in, and what is in use of each segment. */
async function after(
  groups: readonly WalkedGroup[]
): Promise<{ row: Row | undefined; live: number[]; blocks: number }> {
  const segments = new Map<number, SegmentRow>()
  for (const n of [1, 2, 3]) segments.set(n, { size: 0, live: 0, sealed: true, scrubbedAtMs: 0 })
  const totals = { blocks: 0, bytes: 0 }
  let row: Row | undefined
  await inScratch(async (directory) => {
    const catalog = await Catalog.open(join(directory, 'index'), 1 << 20)
    const into = {
      catalog,
      nonce: NONCE.toString('hex'),
      segments,
      totals,
      applied: { segment: 0, offset: 0 }
    }
    const taken = new Intake(into)
    for (const group of groups) await taken.take(group, () => true)
    await taken.flush(true)
    row = await catalog.row(key as BlockKey)
    await catalog.close()
  })
  return { row, live: [...segments.values()].map(({ live }) => live), blocks: totals.blocks }
}

intake('a put is there, a deletion takes it, and what is put afterwards stays', async () => {
  const put = groupOf(PUT, undefined, { segment: 1, offset: 4096 })
  const gone = groupOf({ type: 'delete', key }, HELD, { segment: 1, offset: 8192 })
  const again = groupOf(PUT, undefined, { segment: 2, offset: 4096 })
  assert.is((await after([put])).row?.block?.segment, 1)
  assert.is((await after([put, gone])).row, undefined)
  const { row, blocks } = await after([put, gone, again])
  assert.is(row?.block?.segment, 2)
  assert.is(row?.claims[0]?.segment, 2)
  assert.is(blocks, 1)
})

intake('a deletion that was moved takes only what lies before the place it names', async () => {
  const put = groupOf(PUT, undefined, { segment: 1, offset: 4096 })
  const again = groupOf(PUT, undefined, { segment: 2, offset: 4096 })
  const moved = groupOf({ type: 'bury', key, before: { segment: 1, offset: 8192 } }, undefined, {
    segment: 3,
    offset: 4096
  })
  assert.is((await after([put, moved])).row, undefined)
  assert.is((await after([put, again, moved])).row?.block?.segment, 2)
})

intake('a copy that was moved counts where it is now, claims too', async () => {
  const put = groupOf(PUT, undefined, { segment: 1, offset: 4096 })
  const moved = groupOf(PUT, undefined, { segment: 3, offset: 4096 })
  const { row, live, blocks } = await after([put, moved])
  assert.is(row?.block?.segment, 3)
  assert.is(row?.claims[0]?.segment, 3)
  assert.is(live[0], 0, 'nothing of the first segment is in use')
  assert.ok((live[2] ?? 0) > bytes.length)
  assert.is(blocks, 1)
})

intake('the highest sequence wins in any order', async () => {
  const put = groupOf(PUT, undefined, { segment: 1, offset: 4096 })
  const older = { type: 'put', key, claims: [sampleClaim('01', { sequence: 2, replicas: 9 })] } as const
  const late = groupOf(older, HELD, { segment: 2, offset: 4096 })
  assert.is((await after([put, late])).row?.claims[0]?.sequence, 3)
  assert.is((await after([late, put])).row?.claims[0]?.sequence, 3)
})

intake('claims without a block are not a block', async () => {
  const claims = groupOf({ type: 'put', key, claims: [sampleClaim('01')] }, HELD, {
    segment: 2,
    offset: 4096
  })
  const { row, blocks } = await after([claims])
  assert.is(row?.block, undefined)
  assert.is(row?.claims.length, 1)
  assert.is(blocks, 0)
})

intake.run()
