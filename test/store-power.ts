// limit: 600 s
/**
 * The power fails under a store: ext4 on a loop device is shut down without flushing its log, mounted
 * again, and must hold what was acknowledged. Then with a sync that lies, and with one that fails.
 */
import { spawn } from 'node:child_process'
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
/** How many in the test: 500 were run with CAIRN_POWER_CUTS=500; each takes some 0.4 s. */
const CUTS = Number(process.env.CAIRN_POWER_CUTS ?? 60)
const power = suite('a store whose power fails')

interface Told {
  lines: string[]
  /** Resolves once so many lines were said; the process may be ending. */
  reached(lines: number): Promise<void>
  ended: Promise<void>
}

/** Every other one writes through the page cache, as where there is no O_DIRECT. */
function child(directory: string, seed: number, prefix: readonly string[] = []): Told & { kill: () => void } {
  const command = [
    ...prefix,
    process.execPath,
    '--conditions=cairn-src',
    CHILD,
    directory,
    String(seed),
    '40'
  ]
  const [program = '', ...args] = command
  const env = seed % 2 === 0 ? { ...process.env, CAIRN_TEST_PLAIN: '1' } : process.env
  const process_ = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'ignore'] })
  const lines: string[] = []
  let rest = ''
  const waiting = new Set<() => void>()
  process_.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    lines.push(...parts)
    for (const look of waiting) look()
  })
  const ended = new Promise<void>((resolve) => process_.once('close', () => resolve()))
  return {
    lines,
    ended,
    kill: () => process_.kill('SIGKILL'),
    reached: (count) =>
      Promise.race([
        ended,
        new Promise<void>((resolve) => {
          const look = (): void => {
            if (lines.length >= count) resolve()
          }
          waiting.add(look)
          look()
        })
      ])
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
      let acknowledged = 0
      for (let cut = 1; cut <= CUTS; cut++) {
        const process_ = child(directory, cut)
        await process_.reached(1 + pick(random, 700))
        disk.cut()
        process_.kill()
        await process_.ended
        disk.unmount()
        disk.mount()
        const said = `${process_.lines.join('\n')}\n`
        acknowledged += process_.lines.filter((line) => /^(put|claim|delete) /.test(line)).length
        try {
          await verify(directory, said, cut % 5 === 0)
        } catch (cause) {
          throw new Error(`after cut ${cut}, ${process_.lines.length} lines: ${cause}`, { cause })
        }
      }
      console.log(`${CUTS} power cuts, ${acknowledged} acknowledgements kept`)
    })
  )

  power('under a sync that lies, serves no wrong byte and finds all that is missing', () =>
    onDisk(async (disk) => {
      const directory = join(disk.path, 'store')
      const lie = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=fdatasync,fsync', '-e']
      const process_ = child(directory, 1, [...lie, 'inject=fdatasync,fsync:retval=0'])
      await process_.reached(400)
      disk.cut()
      process_.kill()
      await process_.ended
      disk.unmount()
      disk.mount()
      const lost = new Set<string>()
      const store = await openStore({ directory, capacity: CAPACITY_BYTES, onLost: (key) => lost.add(key) })
      try {
        await store.scrubNow()
        for (const [block, { size }] of expectations(`${process_.lines.join('\n')}\n`)) {
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
