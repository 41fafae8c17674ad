/**
 * What a store may hold after a crash, from what its process said before: what was acknowledged is there,
 * what was deleted is gone, anything under way is whole or absent.
 */
import assert from 'node:assert/strict'
import type { BlockKey } from '@cairn/core'
import type { DiskStore } from '@cairn/store'
import { sampleBlock } from '@cairn/store/contract'

interface Expected {
  size: number
  put: boolean
  sequence: number
  deleting: boolean
  deleted: boolean
}

/** Reads the lines that `store-child.ts` wrote; a last line cut short says nothing. */
export function expectations(said: string): Map<number, Expected> {
  const blocks = new Map<number, Expected>()
  const lines = said.split('\n').slice(0, -1)
  for (const line of lines) {
    const [what, block, value] = line.split(' ')
    const fresh = { size: Number(value), put: false, sequence: 1, deleting: false, deleted: false }
    const known = blocks.get(Number(block)) ?? fresh
    if (what === 'put?') blocks.set(Number(block), fresh)
    else if (what === 'put') known.put = true
    else if (what === 'claim') known.sequence = Number(value)
    else if (what === 'delete?') known.deleting = true
    else if (what === 'delete') known.deleted = true
  }
  return blocks
}

/** Of one run, kept: the same are looked for after each of its calls. */
const SAMPLES_MAX = 300
const samples = new Map<string, ReturnType<typeof sampleBlock>>()

function sample(block: number, size: number): ReturnType<typeof sampleBlock> {
  const name = `${block} ${size}`
  const made = samples.get(name) ?? sampleBlock(block, size)
  if (samples.size === SAMPLES_MAX) samples.clear()
  samples.set(name, made)
  return made
}

/** Compares, and returns the keys that are held. */
export async function check(store: DiskStore, blocks: ReadonlyMap<number, Expected>): Promise<BlockKey[]> {
  const present: BlockKey[] = []
  for (const [block, { size, put, sequence, deleting, deleted }] of blocks) {
    const { key, bytes } = sample(block, size)
    const stat = await store.stat(key)
    const got = await store.get(key)
    if (deleted) assert.equal(stat, undefined, `block ${block} was deleted`)
    else if (put && !deleting) assert.ok(stat, `block ${block} was acknowledged`)
    assert.equal(got === undefined, stat === undefined, `block ${block} is whole or absent`)
    if (stat === undefined) continue
    assert.deepEqual(got, bytes)
    assert.equal(stat.size, size)
    assert.ok((stat.claims[0]?.sequence ?? 0) >= sequence, `the claim on ${block} was acknowledged`)
    present.push(key)
  }
  return present
}
