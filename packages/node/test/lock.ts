import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { lockHolder, takeLock } from '../src/lock.ts'
import { temporary } from './support/home.ts'
import { codeOf } from './support/peers.ts'
import { scoped } from './support/scope.ts'

/** Takes the lock of argv[1] once told to, says whether it could, and holds it until it is killed. */
const CONTENDER = `
  const { takeLock } = await import(${JSON.stringify(new URL('../src/lock.ts', import.meta.url).href)})
  process.stdout.write('ready ')
  await new Promise((resolve) => process.stdin.once('data', resolve))
  process.stdout.write(await takeLock(process.argv[1]).then(() => 'taken.', (cause) => cause.code + '.'))
  setInterval(() => {}, 1000)
`

function contender(home: string) {
  const args = ['--conditions=cairn-src', '--input-type=module', '-e', CONTENDER, home]
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (data) => {
    said += data
  })
  const hear = async (end: string): Promise<string> => {
    while (!said.endsWith(end)) await once(child.stdout, 'data')
    return said
  }
  const kill = async (): Promise<void> => {
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  return {
    pid: child.pid as number,
    ready: () => hear(' '),
    go: () => child.stdin.write('go'),
    result: () => hear('.'),
    kill
  }
}

const lock = suite('takeLock')

lock(
  'a second taker in the same process is refused and told who holds it',
  scoped(async (use) => {
    const home = use(await temporary())
    const held = await takeLock(home.path)
    try {
      await takeLock(home.path)
      assert.unreachable()
    } catch (cause) {
      assert.is((cause as { code?: string }).code, 'LOCKED')
      assert.match((cause as Error).message, String(process.pid))
    }
    await held.release()
  })
)

lock(
  'a released lock can be taken again, and leaves one file',
  scoped(async (use) => {
    const home = use(await temporary())
    for (let i = 0; i < 5; i++) await (await takeLock(home.path)).release()
    assert.is(await lockHolder(home.path), undefined)
    assert.is((await readdir(home.path)).length, 1)
  })
)

lock(
  'of processes that start together exactly one takes it, and after its death exactly one again',
  scoped(async (use) => {
    const home = use(await temporary())
    for (let round = 0; round < 2; round++) {
      const all = Array.from({ length: 3 }, () => contender(home.path))
      try {
        await Promise.all(all.map((one) => one.ready()))
        for (const one of all) one.go()
        const results = await Promise.all(all.map((one) => one.result()))
        const taken = all.filter((_, i) => results[i] === 'ready taken.')
        assert.is(taken.length, 1, results.join(' '))
        assert.is(results.filter((result) => result === 'ready LOCKED.').length, 2)
        assert.is(await lockHolder(home.path), taken[0]?.pid)
        assert.is(await codeOf(takeLock(home.path)), 'LOCKED')
      } finally {
        await Promise.all(all.map((one) => one.kill()))
      }
      assert.is(await lockHolder(home.path), undefined)
    }
  })
)

lock(
  'many rivals for a stale lock in one process: one wins',
  scoped(async (use) => {
    const home = use(await temporary())
    for (let round = 0; round < 20; round++) {
      const results = await Promise.allSettled(Array.from({ length: 8 }, () => takeLock(home.path)))
      const winners = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
      assert.is(winners.length, 1)
      await winners[0]?.release()
    }
  })
)

lock.run()
