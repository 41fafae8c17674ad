// limit: 600 s
/**
 * The power fails under a store: ext4 on a loop device is shut down without flushing its log, mounted
 * again, and must hold what was acknowledged. Then with a sync that lies, and with one that fails.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CairnError, pick, seeded } from '@cairn/core'
import { openStore } from '@cairn/store'
import { sampleBlock, sampleClaim } from '@cairn/store/contract'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { check, expectations } from './store-model.ts'
import { canMount, onDisk, ownMounts } from './support/disk.ts'

const CHILD = fileURLToPath(new URL('store-child.ts', import.meta.url))
const CAPACITY_BYTES = 32 * 1024 * 1024
/** How many in the test: 500 were run with CAIRN_POWER_CUTS=500; each takes half a second. */
const CUTS = Number(process.env.CAIRN_POWER_CUTS ?? 40)
const power = suite('a store whose power fails')

/** A process that uses the store once for each seed, so that a cut need not wait for one to start. */
class User {
  readonly #process: ChildProcess
  #rest = ''
  /** What it said since the last `use`. */
  lines: string[] = []
  #look = (): void => {}

  constructor(directory: string, prefix: readonly string[] = []) {
    const node = [process.execPath, '--conditions=cairn-src', CHILD, directory, '-', '40']
    const [program = '', ...args] = [...prefix, ...node]
    this.#process = spawn(program, args, { stdio: ['pipe', 'pipe', 'ignore'] })
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const parts = (this.#rest + text).split('\n')
      this.#rest = parts.pop() ?? ''
      this.lines.push(...parts)
      this.#look()
    })
    this.#process.once('close', () => {
      this.lines.push('over')
      this.#look()
    })
  }

  /** Every other one writes through the page cache, as where there is no O_DIRECT. */
  use(seed: number): void {
    this.lines = []
    this.#process.stdin?.write(`${seed} ${seed % 2 === 0 ? 'plain' : 'direct'}\n`)
  }

  /** Once it said so many lines, or all. */
  reached(count: number): Promise<void> {
    return this.#when(() => this.lines.length >= count || this.lines.at(-1) === 'over')
  }

  /** Once it has closed the store, or ended. */
  over(): Promise<void> {
    return this.#when(() => this.lines.at(-1) === 'over')
  }

  async end(): Promise<void> {
    this.lines = []
    this.#process.stdin?.end()
    await this.over()
  }

  #when(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#look = () => {
        if (holds()) resolve()
      }
      this.#look()
    })
  }
}

async function verify(directory: string, said: string, rebuild: boolean): Promise<void> {
  const store = await openStore({ directory, capacity: CAPACITY_BYTES, rebuild })
  try {
    const present = await check(store, expectations(said))
    assert.is(store.usage().blocks, present.length)
    await store.delete(present) // the next round begins small
    await store.compactNow()
  } finally {
    await store.close()
  }
}

ownMounts(import.meta.url)
if (canMount()) {
  power(`at ${CUTS} random instants keeps what it acknowledged`, () =>
    onDisk(async (disk) => {
      const random = seeded(20_261_122)
      const directory = join(disk.path, 'store')
      const user = new User(directory)
      let acknowledged = 0
      for (let cut = 1; cut <= CUTS; cut++) {
        user.use(cut)
        await user.reached(1 + pick(random, 700))
        disk.cut()
        await user.over()
        disk.unmount()
        disk.mount()
        acknowledged += user.lines.filter((line) => /^(put|claim|delete) /.test(line)).length
        try {
          await verify(directory, `${user.lines.join('\n')}\n`, cut % 5 === 0)
        } catch (cause) {
          throw new Error(`after cut ${cut}, ${user.lines.length} lines: ${cause}`, { cause })
        }
      }
      await user.end()
      console.log(`${CUTS} power cuts, ${acknowledged} acknowledgements kept`)
    })
  )

  power('under a sync that lies, serves no wrong byte and finds all that is missing', () =>
    onDisk(async (disk) => {
      const directory = join(disk.path, 'store')
      const lie = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=fdatasync,fsync', '-e']
      const user = new User(directory, [...lie, 'inject=fdatasync,fsync:retval=0'])
      user.use(1)
      await user.reached(400)
      disk.cut()
      await user.over()
      disk.unmount()
      disk.mount()
      await user.end()
      const lost = new Set<string>()
      const store = await openStore({ directory, capacity: CAPACITY_BYTES, onLost: (key) => lost.add(key) })
      try {
        await store.scrubNow()
        for (const [block, { size }] of expectations(`${user.lines.join('\n')}\n`)) {
          const { key, bytes } = sampleBlock(block, size)
          const got = await store.get(key)
          if (got !== undefined) assert.equal(got, bytes)
          assert.is((await store.stat(key)) === undefined, got === undefined)
        }
        const { key, bytes } = sampleBlock(5)
        await store.put([{ key, bytes, claims: [sampleClaim('01')] }])
        assert.equal(await store.get(key), bytes)
      } finally {
        await store.close()
      }
    })
  )

  power('fences itself once the disk takes nothing more', () =>
    onDisk(async (disk) => {
      const directory = join(disk.path, 'store')
      const store = await openStore({ directory, capacity: CAPACITY_BYTES })
      const [before, after] = [sampleBlock(1), sampleBlock(2)]
      const claims = [sampleClaim('01')]
      await store.put([{ ...before, claims }])
      disk.cut()
      for (const code of ['DISK_FAILED', 'READ_ONLY'] as const) {
        const error = await store.put([{ ...after, claims }]).catch((cause) => cause)
        assert.ok(CairnError.is(error), String(error))
        assert.ok([code, 'READ_ONLY'].includes(error.code), `${code}, not ${error}`)
      }
      assert.is(store.usage().readOnly, true)
      await store.close()
      disk.unmount()
      disk.mount()
      const again = await openStore({ directory, capacity: CAPACITY_BYTES })
      assert.equal(await again.get(before.key), before.bytes)
      assert.is(await again.get(after.key), undefined)
      await again.close()
    })
  )
} else {
  console.log('SKIPPED: power cuts need root, loop devices, mkfs.ext4 and perl')
}

power.run()
