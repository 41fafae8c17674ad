// limit: 600 s
// beside others
/**
 * A store's process is killed at the Nth write, sync, rename, unlink, for every N of its protocol,
 * and once more while it recovers. What it acknowledged is there, and nothing that it deleted.
 */
import { execFileSync, spawn } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readCar } from '@cairn/blocks'
import { openStore } from '@cairn/store'
import { sampleBlock, sampleClaim } from '@cairn/store/contract'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { check, expectations } from './store-model.ts'

const CHILD = fileURLToPath(new URL('store-child.ts', import.meta.url))
const CAPACITY_BYTES = 32 * 1024 * 1024
/** Far above what the child does of any; a run that ends by itself ends the search for N. */
const CALLS_MAX = 400

const crash = suite('a store that is killed')

/** System calls that change what is on disk. `write` is LevelDB's, and the child's own lines. */
const CALLS: [call: string, step: number][] = [
  ['pwritev', 1],
  ['pwrite64', 1],
  ['fdatasync', 1],
  ['fsync', 1],
  ['rename', 1],
  ['unlink', 1],
  ['write', 24]
]

interface Run {
  said: string
  killed: boolean
}

/** Groups of several buffers are written with pwritev only where they go through the page cache. */
const needsCache = (inject: string): boolean => inject.startsWith('pwritev')

/** One pool thread, so that strace, which counts by thread, counts all of the store's calls. */
function run(directory: string, { inject, seed }: { inject: string; seed: number }): Promise<Run> {
  const command = [process.execPath, '--conditions=cairn-src', CHILD, directory, String(seed)]
  const trace = [
    '-f',
    '-qq',
    '-o',
    '/dev/null',
    '-e',
    `trace=${inject.split(':')[0]}`,
    '-e',
    `inject=${inject}`
  ]
  const child = spawn('strace', [...trace, ...command], {
    env: {
      ...process.env,
      UV_THREADPOOL_SIZE: '1',
      ...(needsCache(inject) ? { CAIRN_TEST_PLAIN: '1' } : {})
    },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text) => {
    said += text
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ said, killed: code !== 0 }))
  })
}

async function recovered(directory: string, said: string): Promise<void> {
  const blocks = expectations(said)
  for (const rebuild of [false, true]) {
    const store = await openStore({ directory, capacity: CAPACITY_BYTES, rebuild })
    try {
      const present = await check(store, blocks)
      assert.is(store.usage().blocks, present.length)
      assert.ok(store.usage().diskBytes <= CAPACITY_BYTES)
      const { key, bytes } = sampleBlock(7, 77)
      await store.put([{ key, bytes, claims: [sampleClaim('01')] }])
      assert.equal(await store.get(key), bytes)
      await store.delete([key])
    } finally {
      await store.close()
    }
  }
  await readsAsCar(directory)
}

/** Every segment is a CAR file to its last byte, and all in it is what it is called. */
async function readsAsCar(directory: string): Promise<void> {
  for (const name of (await readdir(directory)).filter((name) => name.endsWith('.car'))) {
    const car = await readCar(createReadStream(join(directory, name)))
    for await (const { cid } of car.blocks) assert.is(cid.version, 1)
  }
}

/** Whether the child was killed. */
async function killedAt(inject: string, seed: number, again: string | undefined): Promise<boolean> {
  const directory = await mkdtemp(join(tmpdir(), 'cairn-crash-'))
  try {
    const first = await run(directory, { inject, seed })
    let said = first.said
    if (again !== undefined) {
      const second = await run(directory, { inject: again, seed: seed + 1 })
      said += second.said
    }
    await recovered(directory, said)
    return first.killed
  } catch (cause) {
    throw new Error(`killed by ${inject}${again ? `, then ${again}` : ''}: ${cause}`, { cause })
  } finally {
    await rm(directory, { recursive: true })
  }
}

function hasStrace(): boolean {
  try {
    execFileSync('strace', ['-qq', '-o', '/dev/null', 'true'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

if (hasStrace()) {
  for (const [call, step] of CALLS) {
    crash(`at the Nth ${call} keeps what it acknowledged`, async () => {
      let kills = 0
      for (let n = 1; n <= CALLS_MAX; n += step) {
        if (!(await killedAt(`${call}:signal=KILL:when=${n}`, 1, undefined))) break
        kills++
      }
      assert.ok(kills > 0, `no ${call} was ever reached`)
      console.log(`${call}: killed at ${kills} places`)
    })
  }

  crash('again while it recovers keeps what it acknowledged', async () => {
    for (let n = 1; n <= 10; n++) {
      await killedAt(
        'fdatasync:signal=KILL:when=16',
        3,
        `pwrite64,pwritev,ftruncate,unlink:signal=KILL:when=${n}`
      )
      await killedAt('pwritev:signal=KILL:when=6', 5, `fdatasync,fsync,rename:signal=KILL:when=${n}`)
    }
  })

  crash('acknowledges nothing after a sync that failed, and goes on reading', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'cairn-crash-'))
    try {
      const { said } = await run(directory, { inject: 'fdatasync:error=EIO:when=20+', seed: 1 })
      const lines = said.trim().split('\n')
      const refused = lines.findIndex((line) => line.startsWith('refused'))
      assert.ok(refused > 0, 'something was refused')
      assert.not(
        lines.slice(refused).some((line) => /^(put|claim|delete) /.test(line)),
        'nothing after it was not'
      )
      assert.is(lines.filter((line) => line === 'read').length, 3)
      assert.is(lines.at(-2), 'refused READ_ONLY')
      assert.is(lines.at(-1), 'closed')
      await recovered(directory, said)
    } finally {
      await rm(directory, { recursive: true })
    }
  })
} else {
  console.log('SKIPPED: kills at system calls need strace that may trace')
}

crash.run()
