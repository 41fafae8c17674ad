/**
 * A process that uses a store until it is killed, and says line by line what was acknowledged. Run by
 * store-crash.ts under strace; deterministic for a seed, so that the Nth system call is the same each time.
 */
import fs from 'node:fs'
import { CairnError, pick, seeded } from '@cairn/core'
import { openStore } from '@cairn/store'
import { sampleBlock, sampleClaim } from '@cairn/store/contract'

const [directory = '', seed = '1', rounds = '8'] = process.argv.slice(2)
const random = seeded(Number(seed))

/** Synchronous: what was said stays said, whatever happens next. */
function say(line: string): void {
  fs.writeSync(1, `${line}\n`)
}

/** Whether long writes go past the page cache, where the file system has that. */
const direct = process.env.CAIRN_TEST_PLAIN === undefined
const store = await openStore({ directory, capacity: 32 * 1024 * 1024, direct })
let next = Number(seed) * 1_000_000
const held: number[] = []

async function put(block: number): Promise<void> {
  const size = 8 * (1 + pick(random, random() < 0.2 ? 100_000 : 1000))
  const claims = [sampleClaim('01', { sequence: 1 })]
  say(`put? ${block} ${size}`)
  await store.put([{ ...sampleBlock(block, size), claims }])
  say(`put ${block} ${size}`)
  held.push(block)
  sizes.set(block, size)
}
const sizes = new Map<number, number>()

async function claim(block: number, sequence: number): Promise<void> {
  const { key } = sampleBlock(block, sizes.get(block) as number)
  await store.put([{ key, claims: [sampleClaim('01', { sequence })] }])
  say(`claim ${block} ${sequence}`)
}

async function remove(block: number): Promise<void> {
  const { key } = sampleBlock(block, sizes.get(block) as number)
  say(`delete? ${block}`)
  await store.delete([key])
  say(`delete ${block}`)
}

async function work(): Promise<void> {
  for (let round = 1; round <= Number(rounds); round++) {
    await Promise.all(Array.from({ length: 12 }, () => put(next++)))
    const some = held.splice(pick(random, held.length), 5)
    await Promise.all(some.map((block, i) => (i % 2 === 0 ? remove(block) : claim(block, round + 1))))
    if (round % 4 === 0) await store.compactNow()
  }
}

/** What a store still does once it has refused: reads, and refuses again. */
async function afterRefusal(cause: unknown): Promise<void> {
  say(`refused ${CairnError.is(cause) ? cause.code : cause}`)
  for (const block of held.slice(0, 3)) {
    const bytes = await store.get(sampleBlock(block, sizes.get(block) as number).key)
    say(bytes === undefined ? 'unread' : 'read')
  }
  await put(next++).catch((again) => say(`refused ${CairnError.is(again) ? again.code : again}`))
}

await work().catch(afterRefusal)
await store.close()
say('closed')
