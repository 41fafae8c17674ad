/** 2 GiB through nodes, in and out, with less than 300 MB of memory each at their peak: issue 3, item 20. */
// limit: 600 s
import { readFile } from 'node:fs/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { someBytes } from './support/data.ts'
import { clientOf, type Node, withNodes } from './support/nodes.ts'

const MIB = 1024 * 1024
const SIZE_MIB = 2_048
/** Issue 3: MB, as VmHWM in /proc tells it, in KiB. */
const PEAK_BYTES_MAX = 300e6
/** Three, so that with three copies every byte passes through every node. */
const NODES = 3

const memory = suite('memory')

/** A stream that costs nothing to make and nothing to compare: no two MiB of it are alike. Each in turn. */
function* stream(mebibytes: number): Generator<Uint8Array, void> {
  const piece = someBytes(MIB, 5)
  const view = new DataView(piece.buffer, piece.byteOffset)
  for (let i = 0; i < mebibytes; i++) {
    view.setUint32(0, i)
    yield piece
  }
}

async function peakBytes(pid: number | 'self'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return 1_024 * Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1])
}

async function expectModest(nodes: readonly Node[], when: string): Promise<void> {
  const peaks = await Promise.all([...nodes.map(({ pid }) => pid), 'self' as const].map(peakBytes))
  const shown = peaks.map((bytes) => `${Math.round(bytes / 1e6)} MB`).join(', ')
  console.log(`peak memory ${when}, of each node and of the client: ${shown}`)
  assert.ok(
    peaks.every((bytes) => bytes < PEAK_BYTES_MAX),
    `${when}: ${shown}; 300 MB is the most`
  )
}

/** MB/s since then. */
function rate(mebibytes: number, sinceMs: number): string {
  return `${((mebibytes * MIB) / 1_000 / (performance.now() - sinceMs)).toFixed(0)} MB/s`
}

memory(
  `${SIZE_MIB} MiB go in with three copies and come back, in nodes and a client of under 300 MB each`,
  withNodes(async ({ network }) => {
    if (process.platform !== 'linux') return console.log('SKIPPED: peak memory is read from /proc')
    const nodes = await network(NODES)
    const client = clientOf(nodes)
    let sinceMs = performance.now()
    const put = await client.put(stream(SIZE_MIB))
    console.log(`put: ${rate(SIZE_MIB, sinceMs)}`)
    assert.is(put.size, SIZE_MIB * MIB)
    assert.is(put.replicas, NODES)
    await expectModest(nodes, 'after the put')
    sinceMs = performance.now()
    const got = await client.get(put.cid)
    await sameAs(got, SIZE_MIB)
    console.log(`get: ${rate(SIZE_MIB, sinceMs)}`)
    await expectModest(nodes, 'after the get')
  })
)

/** Compares what comes with what went, a piece at a time. */
async function sameAs(got: AsyncIterable<Uint8Array>, mebibytes: number): Promise<void> {
  const expected = stream(mebibytes)
  let piece: Uint8Array = new Uint8Array(0)
  let at = 0
  let total = 0
  for await (const bytes of got) {
    for (let from = 0; from < bytes.length; ) {
      if (at === piece.length) {
        piece = expected.next().value ?? new Uint8Array(0)
        at = 0
        assert.ok(piece.length > 0, 'more came than went')
      }
      const length = Math.min(bytes.length - from, piece.length - at)
      const same = Buffer.compare(bytes.subarray(from, from + length), piece.subarray(at, at + length)) === 0
      if (!same) assert.unreachable(`another byte came near ${total + from}`)
      from += length
      at += length
    }
    total += bytes.length
  }
  assert.is(total, mebibytes * MIB)
}

memory.run()
