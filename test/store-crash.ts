// limit: 600 s
// beside others
/**
 * A store's process is stopped at the Nth write, sync, rename, unlink, for every N of its protocol, and once
 * more while it recovers; what is on disk then is what a kill there would leave, and a copy of it must hold
 * what was acknowledged and nothing that was deleted. (To start a process for each N takes seven times as
 * long.) At one place of each call it is really killed.
 */
import { execFileSync, spawn } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { cp, mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { readCar } from '@cairn/blocks'
import { openStore } from '@cairn/store'
import { sampleBlock, sampleClaim } from '@cairn/store/contract'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { check, expectations } from './store-model.ts'

const CHILD = fileURLToPath(new URL('store-child.ts', import.meta.url))
const CAPACITY_BYTES = 32 * 1024 * 1024
/** Of the calls of a recovery, the first so many. */
const AGAIN_CALLS = 20

const crash = suite('a store that is killed')

/** System calls that change what is on disk; `write` is LevelDB's. */
const CALLS = ['pwrite64', 'fdatasync', 'fsync', 'rename', 'unlink', 'write']
/** Groups of several buffers are written with pwritev only where they go through the page cache. */
const CACHE_CALLS = ['pwritev']
const AGAIN = ['pwrite64', 'pwritev', 'ftruncate', 'unlink', 'fdatasync', 'fsync', 'rename']
const ELSEWHERE = ''
/** Where it is really killed. */
const KILLS = ['pwritev:5', 'pwrite64:17', 'fdatasync:12', 'fsync:5', 'rename:4', 'unlink:5', 'write:130']

interface Work {
  directory: string
  seed: number
  /** Not past the page cache, even where the file system has that. */
  plain?: boolean
}

interface Run {
  said: string
  killed: boolean
}

/** Its process under strace. One pool thread, so that strace, which counts by thread, counts all calls. */
function traced({ directory, seed, plain }: Work, trace: readonly string[], stdio: (number | 'pipe')[]) {
  const command = [process.execPath, '--conditions=cairn-src', CHILD, directory, String(seed)]
  return spawn('strace', ['-f', '-q', ...trace, ...command], {
    env: { ...process.env, UV_THREADPOOL_SIZE: '1', ...(plain ? { CAIRN_TEST_PLAIN: '1' } : {}) },
    stdio: ['ignore', stdio[0], 'inherit', ...stdio.slice(1)]
  })
}

/** With a kill or an error injected. */
function run(work: Work, inject: string): Promise<Run> {
  const trace = ['-o', '/dev/null', '-e', `trace=${inject.split(':')[0]}`, '-e', `inject=${inject}`]
  const child = traced(work, trace, ['pipe'])
  let said = ''
  child.stdout?.setEncoding('utf8').on('data', (text) => {
    said += text
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ said, killed: code !== 0 }))
  })
}

/**
 * Stops it at each of `calls`; `look` is called with what it has said by then, while no thread of it runs,
 * and tells whether it is to go on.
 */
async function stopping(
  work: Work,
  calls: readonly string[],
  look: (reached: readonly string[], said: string) => Promise<boolean>
): Promise<void> {
  const lines = join(work.directory, '..', 'said') // a file: what waits in a pipe would not be seen
  const said = await open(lines, 'w')
  const trace = ['-o', '|cat >&3', '-y', '-s', '0', '-e', `trace=${calls}`, '-e', 'signal=SIGSTOP']
  const child = traced(work, [...trace, '-e', `inject=${calls}:signal=STOP:when=1+`], [said.fd, 'pipe'])
  const ended = new Promise((resolve) => child.once('close', resolve))
  const output = child.stdio[3] as Readable
  const last = new Map<string, string>()
  const stopped = new Set<string>()
  let pid: number | undefined
  let reached: string[] = []
  let over = false
  try {
    for await (const line of createInterface({ input: output })) {
      const [, thread = '', what = ''] = /^(\d+) +(.*)/.exec(line) ?? []
      const [, call] = /^(\w+)\(/.exec(what) ?? []
      // a line of its own, or to wake a thread, changes nothing on the disk
      const isElsewhere = call === 'write' && !what.includes(work.directory)
      if (call !== undefined) last.set(thread, isElsewhere ? ELSEWHERE : call)
      if (what.startsWith('--- SIGSTOP')) reached.push(last.get(thread) ?? '')
      if (what.startsWith('--- stopped by')) stopped.add(thread)
      if (reached.length === 0 || over) continue
      pid ??= await processOf(thread)
      const threads = await readdir(`/proc/${pid}/task`)
      if (!threads.every((one) => stopped.has(one))) continue
      over = !(await look(reached, await readFile(lines, 'utf8')))
      stopped.clear()
      reached = []
      process.kill(pid, over ? 'SIGKILL' : 'SIGCONT')
    }
  } catch (cause) {
    if (pid !== undefined) process.kill(pid, 'SIGKILL')
    output.resume()
    throw cause
  } finally {
    await ended
    await said.close()
  }
}

async function processOf(thread: string): Promise<number> {
  return Number(/^Tgid:\s+(\d+)/m.exec(await readFile(`/proc/${thread}/status`, 'utf8'))?.[1])
}

/** Opened as it is and rebuilt from its segments. */
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

/** Calls `body` with a directory that is gone afterwards. */
async function within(body: (path: string) => Promise<void>): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), 'cairn-crash-'))
  try {
    await body(path)
  } finally {
    await rm(path, { recursive: true })
  }
}

/** Recovers a copy of the store as it is at each of `calls`; returns how often each was reached. */
async function everyCall(work: Work, calls: readonly string[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  await stopping(work, calls, async (reached, said) => {
    const calls = reached.filter((call) => call !== ELSEWHERE)
    for (const call of calls) counts[call] = (counts[call] ?? 0) + 1
    if (calls.length > 0) await copyRecovers(work, said, `stopped at ${calls} of ${JSON.stringify(counts)}`)
    return true
  })
  return counts
}

async function copyRecovers({ directory }: Work, said: string, where: string): Promise<void> {
  await within(async (path) => {
    const copy = join(path, 'store')
    await cp(directory, copy, { recursive: true })
    await recovered(copy, said)
  }).catch((cause) => {
    throw new Error(`${where}: ${cause}`, { cause })
  })
}

/** Kills it at the Nth `call`, then recovers copies of what is there while it is opened again. */
async function killedTwice(path: string, call: string, nth: number): Promise<void> {
  const first: Work = { directory: join(path, 'store'), seed: 3, plain: call === 'pwritev' }
  const { said, killed } = await run(first, `${call}:signal=KILL:when=${nth}`)
  assert.ok(killed)
  let left = AGAIN_CALLS
  await stopping({ ...first, seed: 4 }, AGAIN, async (reached, more) => {
    await copyRecovers(first, said + more, `killed at ${call} ${nth}, stopped at ${reached}`)
    return --left > 0
  })
  assert.is(left, 0)
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
  for (const calls of [CACHE_CALLS, CALLS]) {
    crash(`at each ${calls.join(', ')} keeps what it acknowledged`, () =>
      within(async (path) => {
        const work = { directory: join(path, 'store'), seed: 1, plain: calls === CACHE_CALLS }
        const counts = await everyCall(work, calls)
        for (const call of calls)
          assert.ok((counts[call] ?? 0) > 5, `${call} was reached ${counts[call]} times`)
        console.log(JSON.stringify(counts))
      })
    )
  }

  for (const kill of KILLS) {
    crash(`for good, at ${kill}, keeps what it acknowledged`, () =>
      within(async (path) => {
        const [call = '', nth] = kill.split(':')
        const work = { directory: join(path, 'store'), seed: 1, plain: call === 'pwritev' }
        const { said, killed } = await run(work, `${call}:signal=KILL:when=${nth}`)
        assert.ok(killed)
        await recovered(work.directory, said)
      })
    )
  }

  for (const [call, nth] of [
    ['fdatasync', 16],
    ['pwritev', 6]
  ] as const) {
    crash(`at ${call} ${nth}, and again while it recovers, keeps what it acknowledged`, () =>
      within((path) => killedTwice(path, call, nth))
    )
  }

  crash('acknowledges nothing after a sync that failed, and goes on reading', () =>
    within(async (path) => {
      const directory = join(path, 'store')
      const { said } = await run({ directory, seed: 1 }, 'fdatasync:error=EIO:when=20+')
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
    })
  )
} else {
  console.log('SKIPPED: kills at system calls need strace that may trace')
}

crash.run()
