// limit: 240 s
/**
 * A disk that refuses: no blocks, no inodes, no descriptors, files too large, mounted read-only. Each is
 * a typed error; reads and deletes go on; writes resume by themselves; nothing acknowledged is lost.
 */
import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CairnError } from '@cairn/core'
import { type DiskStore, openStore } from '@cairn/store'
import { sampleBlock, sampleClaim } from '@cairn/store/contract'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { check, expectations } from './store-model.ts'

const CAPACITY_BYTES = 64 * 1024 * 1024
const CHILD_CAPACITY_BYTES = 32 * 1024 * 1024
const BLOCK_BYTES = 200_000
/** Descriptors that others take. */
const OTHERS_MAX = 200
const CHILD = fileURLToPath(new URL('store-child.ts', import.meta.url))

const room = suite('a disk that refuses')

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

/** A file system in memory with these limits. */
async function onTmpfs(options: string, work: (mount: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'cairn-room-'))
  const mount = join(directory, 'mnt')
  mkdirSync(mount)
  run('mount', '-t', 'tmpfs', '-o', options, 'tmpfs', mount)
  try {
    await work(mount)
  } finally {
    run('umount', '-l', mount)
    await rm(directory, { recursive: true })
  }
}

/** Puts until one is refused. Returns how many were taken, and the refusal. */
async function fill(store: DiskStore, from: number): Promise<{ taken: number[]; error: unknown }> {
  const taken: number[] = []
  for (let seed = from; seed < from + 1000; seed++) {
    try {
      await store.put([{ ...sampleBlock(seed, BLOCK_BYTES), claims: [sampleClaim('01')] }])
      taken.push(seed)
    } catch (error) {
      return { taken, error }
    }
  }
  throw new Error('nothing was refused')
}

async function allThere(store: DiskStore, seeds: readonly number[]): Promise<void> {
  for (const seed of seeds) {
    const { key, bytes } = sampleBlock(seed, BLOCK_BYTES)
    assert.equal(await store.get(key), bytes, `block ${seed}`)
  }
}

/** Tries every 50 ms, at most a minute. */
async function resumes(store: DiskStore, seed: number): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await store.put([{ ...sampleBlock(seed, BLOCK_BYTES), claims: [sampleClaim('01')] }])
      return
    } catch (cause) {
      if (attempt === 1_200) throw cause
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

async function fullThenFree(mount: string, free: () => void): Promise<void> {
  const directory = join(mount, 'store')
  let store = await openStore({ directory, capacity: CAPACITY_BYTES })
  let kept: number[] = []
  try {
    const { taken, error } = await fill(store, 1)
    assert.ok(CairnError.is(error, 'FULL'), String(error))
    assert.is(store.usage().full, true)
    await allThere(store, taken)
    const gone = taken.splice(0, 3)
    await store.delete(gone.map((seed) => sampleBlock(seed, BLOCK_BYTES).key))
    for (const seed of gone) assert.is(await store.get(sampleBlock(seed, BLOCK_BYTES).key), undefined)
    await allThere(store, taken)
    await store.close()
    store = await openStore({ directory, capacity: CAPACITY_BYTES })
    await allThere(store, taken)
    free()
    await resumes(store, 5000)
    assert.is(store.usage().full, false)
    kept = [...taken, 5000]
    await allThere(store, kept)
  } finally {
    await store.close()
  }
  for (const rebuild of [false, true]) {
    const again = await openStore({ directory, capacity: CAPACITY_BYTES, rebuild })
    await allThere(again, kept)
    assert.is(again.usage().blocks, kept.length)
    await again.close()
  }
}

function mayMount(): boolean {
  return spawnSync('sh', ['-c', 'test "$(id -u)" = 0 && unshare -m true']).status === 0
}

if (mayMount()) {
  room('without blocks is FULL, and takes more once there are some', () =>
    onTmpfs('size=24m', async (mount) => {
      const other = join(mount, 'other')
      writeFileSync(other, Buffer.alloc(6 * 1024 * 1024))
      await fullThenFree(mount, () => rmSync(other))
    })
  )

  room('without inodes is FULL, and takes more once there are some', () =>
    onTmpfs('size=200m,nr_inodes=40', async (mount) => {
      const others = Array.from({ length: 22 }, (_, i) => join(mount, `other${i}`))
      for (const other of others) writeFileSync(other, '')
      await fullThenFree(mount, () => {
        for (const other of others) rmSync(other)
      })
    })
  )

  room('mounted read-only is READ_ONLY, and takes more once it is not', () =>
    onTmpfs('size=100m', async (mount) => {
      const directory = join(mount, 'store')
      const store = await openStore({ directory, capacity: CAPACITY_BYTES })
      const claims = [sampleClaim('01')]
      await store.put([{ ...sampleBlock(1, BLOCK_BYTES), claims }])
      await store.close()
      run('mount', '-o', 'remount,ro', mount)
      const refused = await openStore({ directory, capacity: CAPACITY_BYTES }).catch((cause) => cause)
      assert.ok(CairnError.is(refused, 'READ_ONLY'), String(refused))
      run('mount', '-o', 'remount,rw', mount)
      const again = await openStore({ directory, capacity: CAPACITY_BYTES })
      await allThere(again, [1])
      await again.put([{ ...sampleBlock(2, BLOCK_BYTES), claims }])
      await again.close()
    })
  )
} else {
  console.log('SKIPPED: disks without room need root, to mount a tmpfs')
}

/** Of this process; returns what it was. */
function limit(what: 'fsize' | 'nofile', value: string): string {
  const [own, name] = [['--pid', String(process.pid)], `--${what}`]
  const was = execFileSync('prlimit', [...own, name, '-o', 'SOFT', '--noheadings'], { encoding: 'utf8' })
  run('prlimit', ...own, `${name}=${value}:`)
  return was.trim()
}

/** Opens as many descriptors as there may be. */
function openAll(): number[] {
  const opened: number[] = []
  while (opened.length < 2 * OTHERS_MAX) {
    try {
      opened.push(openSync('/dev/null', 'r'))
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EMFILE') throw cause
      break
    }
  }
  return opened
}

async function inTemporary(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'cairn-room-'))
  try {
    await work(directory)
  } finally {
    await rm(directory, { recursive: true })
  }
}

if (spawnSync('prlimit', ['--version']).status === 0) {
  room('with files that may grow no more is FULL, and takes more once they may', () =>
    inTemporary(async (directory) => {
      const was = limit('fsize', '2000000')
      try {
        await fullThenFree(directory, () => limit('fsize', was))
      } finally {
        limit('fsize', was)
      }
    })
  )

  room('without descriptors is TOO_MANY_FILES, and takes more once there are some', () =>
    inTemporary(async (directory) => {
      const store = await openStore({ directory, capacity: CAPACITY_BYTES })
      const open = readdirSync('/proc/self/fd').length
      const was = limit('nofile', String(open + OTHERS_MAX))
      let others: number[] = []
      try {
        others = openAll()
        const { taken, error } = await fill(store, 1)
        assert.ok(CairnError.is(error, 'TOO_MANY_FILES'), String(error))
        await allThere(store, taken)
        const gone = taken.splice(0, 3)
        await store.delete(gone.map((seed) => sampleBlock(seed, BLOCK_BYTES).key))
        for (const seed of gone) assert.is(await store.get(sampleBlock(seed, BLOCK_BYTES).key), undefined)
        for (const other of others.splice(0)) closeSync(other)
        await resumes(store, 5000)
        await allThere(store, [...taken, 5000])
      } finally {
        for (const other of others) closeSync(other)
        limit('nofile', was)
        await store.close()
      }
    })
  )
} else {
  console.log('SKIPPED: limits on files need prlimit')
}

/** What a process says that uses a store while its writes from the 30th to the 32nd are refused. */
function refusedFor(directory: string, errno: string): Promise<string[]> {
  const calls = 'pwrite64,pwritev'
  const inject = ['-f', '-qq', '-o', '/dev/null', '-e', `trace=${calls}`, '-e']
  const child = [process.execPath, '--conditions=cairn-src', CHILD, directory, '1', '16']
  // one pool thread: strace counts by thread
  const env = { ...process.env, UV_THREADPOOL_SIZE: '1', CAIRN_TEST_RESUME: '1' }
  const args = [...inject, `inject=${calls}:error=${errno}:when=30..32`, ...child]
  return new Promise((resolve, reject) => {
    execFile('strace', args, { env, timeout: 100_000 }, (cause, stdout) => {
      if (cause) reject(cause)
      else resolve(stdout.trim().split('\n'))
    })
  })
}

if (spawnSync('strace', ['-qq', '-o', '/dev/null', 'true']).status === 0) {
  room('that says so for a while is what it says, and takes more afterwards', async () => {
    const means = { EDQUOT: 'FULL', ENOSPC: 'FULL', EROFS: 'READ_ONLY' }
    const tries = Object.entries(means).map(([errno, code]) =>
      inTemporary(async (directory) => {
        const lines = await refusedFor(directory, errno)
        const said = `${errno}: ${lines.slice(-8).join('; ')}`
        assert.ok(lines.includes(`refused ${code}`), said)
        assert.is(lines.filter((line) => line === 'read').length, 3, said)
        assert.equal(lines.slice(-2), ['resumed', 'closed'], said)
        const store = await openStore({ directory, capacity: CHILD_CAPACITY_BYTES })
        try {
          await check(store, expectations(`${lines.join('\n')}\n`))
        } finally {
          await store.close()
        }
      })
    )
    await Promise.all(tries)
  })
} else {
  console.log('SKIPPED: refusals for a while need strace')
}

room.run()
