/**
 * A process that uses a store until it is killed or its disk fails, and says line by line what was
 * acknowledged. Deterministic for a seed, so that the Nth system call is the same each time. With `-` for
 * a seed it uses the store once for each line of its stdin, a seed and perhaps `plain`, and says `over` then.
 * With CAIRN_TEST_RESUME it tries again after a refusal until it is taken.
 */
import fs from 'node:fs'
import { createInterface } from 'node:readline'
import { CairnError, pick, seeded } from '@cairn/core'
import { type DiskStore, openStore } from '@cairn/store'
import { sampleBlock, sampleClaim } from '@cairn/store/contract'

const [directory = '', seed = '1', rounds = '8'] = process.argv.slice(2)
const CAPACITY_BYTES = 32 * 1024 * 1024
/** Within ten seconds and more. */
const RESUME_ATTEMPTS = 500

/** Synchronous: what was said stays said, whatever happens next. */
function say(line: string): void {
  fs.writeSync(1, `${line}\n`)
}

class Use {
  readonly #store: DiskStore
  readonly #random: () => number
  readonly #held: number[] = []
  readonly #sizes = new Map<number, number>()
  #next: number

  constructor(store: DiskStore, seed: number) {
    this.#store = store
    this.#random = seeded(seed)
    this.#next = seed * 1_000_000
  }

  async work(): Promise<void> {
    const [random, held] = [this.#random, this.#held]
    for (let round = 1; round <= Number(rounds); round++) {
      await Promise.all(Array.from({ length: 12 }, () => this.#put()))
      const some = held.splice(pick(random, held.length), 5)
      await Promise.all(
        some.map((block, i) => (i % 2 === 0 ? this.#remove(block) : this.#claim(block, round + 1)))
      )
      if (round % 4 === 0) await this.#store.compactNow()
    }
  }

  /** What a store still does once it has refused: reads, and refuses again. */
  async afterRefusal(cause: unknown): Promise<void> {
    say(`refused ${CairnError.is(cause) ? cause.code : cause}`)
    for (const block of this.#held.slice(0, 3)) {
      const bytes = await this.#store.get(this.#block(block).key)
      say(bytes === undefined ? 'unread' : 'read')
    }
    await this.#put().catch((again) => say(`refused ${CairnError.is(again) ? again.code : again}`))
    if (process.env.CAIRN_TEST_RESUME === undefined) return
    for (let attempt = 1; attempt <= RESUME_ATTEMPTS; attempt++) {
      const taken = await this.#put().then(
        () => true,
        () => false
      )
      if (taken) return say('resumed')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  async #put(): Promise<void> {
    const block = this.#next++
    const size = 8 * (1 + pick(this.#random, this.#random() < 0.2 ? 100_000 : 1000))
    this.#sizes.set(block, size)
    const claims = [sampleClaim('01', { sequence: 1 })]
    say(`put? ${block} ${size}`)
    await this.#store.put([{ ...this.#block(block), claims }])
    say(`put ${block} ${size}`)
    this.#held.push(block)
  }

  async #claim(block: number, sequence: number): Promise<void> {
    await this.#store.put([{ key: this.#block(block).key, claims: [sampleClaim('01', { sequence })] }])
    say(`claim ${block} ${sequence}`)
  }

  async #remove(block: number): Promise<void> {
    say(`delete? ${block}`)
    await this.#store.delete([this.#block(block).key])
    say(`delete ${block}`)
  }

  #block(block: number): ReturnType<typeof sampleBlock> {
    return sampleBlock(block, this.#sizes.get(block) as number)
  }
}

async function use(seed: number, direct: boolean): Promise<void> {
  const store = await openStore({ directory, capacity: CAPACITY_BYTES, direct })
  const user = new Use(store, seed)
  try {
    await user.work().catch((cause) => user.afterRefusal(cause))
  } finally {
    await store.close()
  }
  say('closed')
}

if (seed === '-') {
  for await (const line of createInterface({ input: process.stdin })) {
    const [one, how] = line.split(' ')
    await use(Number(one), how !== 'plain').catch((cause) => say(`failed ${cause}`))
    say('over')
  }
} else {
  // long writes go past the page cache, where the file system has that
  await use(Number(seed), process.env.CAIRN_TEST_PLAIN === undefined)
}
