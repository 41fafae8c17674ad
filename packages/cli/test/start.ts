// limit: 180 s
import { type ChildProcess, spawn } from 'node:child_process'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { isAlive, readRunning } from '../src/home.ts'
import { until } from '../src/processes.ts'
import { COMMAND, cairn, cleanEnv, type Ended, inTempFolder, jsonLines } from './support/run.ts'

const start = suite('start')

const LIMIT_MS = 60_000

interface Started {
  home: string
  /** Of the node, from its running.json. */
  pid: number
  ended: Promise<Ended>
}

interface Scope {
  folder: string
  /** Runs `start` or `join` and waits until the node answers. */
  begin(home: string, args: string[], stdin?: string): Promise<Started>
  run(home: string, ...args: string[]): Promise<Ended>
}

/** Homes in one temporary folder; whatever the test does, none of its nodes is left. */
async function inScope(use: (scope: Scope) => Promise<void>): Promise<void> {
  await inTempFolder(async (folder) => {
    const children: ChildProcess[] = []
    const at = (home: string): string => join(folder, home)
    const scope: Scope = {
      folder,
      run: (home, ...args) => cairn([...args, '--home', at(home)]),
      async begin(home, args, stdin) {
        const child = spawn(process.execPath, [COMMAND, ...args, '--home', at(home)], { env: cleanEnv() })
        children.push(child)
        child.stdin.end(stdin)
        const ended = collect(child)
        let over: Ended | undefined
        ended.then((result) => {
          over = result
        })
        const running = await until(
          async () => {
            if (over !== undefined) throw new Error(`it ended: ${JSON.stringify(over)}`)
            return readRunning(at(home))
          },
          { limitMs: LIMIT_MS }
        )
        assert.ok(running, `${home} answers`)
        return { home: at(home), pid: running.pid, ended }
      }
    }
    try {
      await use(scope)
    } finally {
      for (const child of children) child.kill('SIGTERM')
      await Promise.all(
        children.map((child) => until(() => (isOver(child) ? true : undefined), { limitMs: LIMIT_MS }))
      )
    }
  })
}

const isOver = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

function collect(child: ChildProcess): Promise<Ended> {
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr?.on('data', (chunk) => {
    stderr += chunk
  })
  return new Promise((resolve) => {
    child.once('close', (exit) => resolve({ exit, stdout, stderr }))
  })
}

start('two nodes meet by one string, one leaves, the other stops', async () => {
  await inScope(async ({ begin, run }) => {
    const one = await begin('one', ['start', '--replicas', '2', '--port', '0'])
    const invite = (await run('one', 'invite', '-q')).stdout.trim()
    assert.is.not(invite, '')
    const two = await begin('two', ['join', '-', '--port', '0', '--name', 'second'], `${invite}\n`)
    const met = await until(
      async () => {
        const peers = jsonLines((await run('one', 'peers', '--json')).stdout)
        return peers.filter(({ state }) => state === 'alive').length === 2 ? peers : undefined
      },
      { limitMs: LIMIT_MS }
    )
    assert.ok(met?.some(({ name }) => name === 'second'))

    const put = await cairn(['put', '-', '--home', one.home], { stdin: 'hello' })
    assert.is(put.exit, 0, put.stderr)
    assert.match(put.stdout, /2\/2 replicas/)
    assert.match(put.stderr, /Get it back: cairn cat bafk/)
    const cid = put.stdout.split(' ')[0] as string
    assert.is((await run('two', 'cat', cid)).stdout, 'hello')

    const again = await run('one', 'start', '--port', '0')
    assert.is(again.exit, 1)
    assert.match(again.stderr, /LOCKED[\s\S]*try: /)

    const left = await run('two', 'leave')
    assert.is(left.exit, 0, left.stderr)
    assert.is(left.stdout, 'second has left\n')
    assert.is((await two.ended).exit, 0)
    assert.not.ok(isAlive(two.pid))
    const known = async () => (await run('one', 'peers', '--json')).stdout.includes('"state":"left"')
    assert.ok(await until(async () => (await known()) || undefined, { limitMs: LIMIT_MS }), 'it is known')

    const stopped = await run('one', 'stop')
    assert.is(stopped.exit, 0, stopped.stderr)
    const ended = await one.ended
    assert.is(ended.exit, 0, ended.stderr)
    assert.match(ended.stderr, /second is no longer a member/)
    assert.is(await readRunning(one.home), undefined)
  })
})

start('what a home keeps secret is readable by its owner alone, and is not told', async () => {
  await inScope(async ({ begin, run }) => {
    const one = await begin('one', ['start', '--port', '0', '--json'])
    for (const name of ['identity.key', 'network.json', 'token', 'running.json']) {
      assert.is((await stat(join(one.home, name))).mode & 0o077, 0, name)
    }
    const { secret } = JSON.parse(await readFile(join(one.home, 'network.json'), 'utf8'))
    const token = (await readFile(join(one.home, 'token'), 'utf8')).trim()
    assert.is(typeof secret, 'string')
    const told = [(await run('one', 'status', '--json')).stdout, (await run('one', 'peers', '--json')).stdout]
    process.kill(one.pid, 'SIGTERM')
    const ended = await one.ended
    assert.is(ended.exit, 0, ended.stderr)
    for (const text of [...told, ended.stdout, ended.stderr]) {
      assert.not.match(text, secret)
      assert.not.match(text, token)
    }
    assert.is(jsonLines(ended.stdout)[0]?.event, 'ready')
  })
})

start('settings of the home are used, flags win over them', async () => {
  await inScope(async ({ begin, run, folder }) => {
    const one = await begin('one', ['start', '--port', '0'])
    await run('one', 'stop')
    await one.ended
    await writeFile(join(folder, 'one', 'cairn.toml'), 'name = "from-file"\ncapacity = "2GB"\nport = 0\n')
    const again = await begin('one', ['start', '--name', 'flag'])
    const [status] = jsonLines((await run('one', 'status', '--json')).stdout)
    assert.is(status?.name, 'flag')
    assert.match(JSON.stringify(status), '"capacity":2000000000')
    await run('one', 'stop')
    assert.is((await again.ended).exit, 0)
  })
})

start('a join that cannot be says why and exits with a code that fits', async () => {
  await inScope(async ({ run, folder }) => {
    const nonsense = await run('one', 'join', 'nonsense', '--port', '0')
    assert.is(nonsense.exit, 2, nonsense.stderr)
    assert.match(nonsense.stderr, /BAD_INVITE[\s\S]*try: /)
    const empty = await cairn(['join', '-', '--home', join(folder, 'two')], { stdin: '\n' })
    assert.is(empty.exit, 2)
    const both = await run('one', 'start', '--open', '--join', 'x')
    assert.is(both.exit, 2)
  })
})

start('on an address of its own it may be read with the token, or freely if that was said', async () => {
  await inScope(async ({ begin, run }) => {
    for (const free of [false, true]) {
      const flags = ['--port', '0', '--host', '127.0.0.2', ...(free ? ['--free-reads'] : [])]
      const { home, ended } = await begin('one', ['start', ...flags])
      const url = (await readRunning(home))?.url ?? ''
      assert.match(url, /^http:\/\/127\.0\.0\.2:/)
      assert.is((await fetch(`${url}/v1/node`)).status, free ? 200 : 401)
      assert.is((await fetch(`${url}/v1/invite`)).status, 401)
      assert.is((await run('one', 'peers')).exit, 0)
      assert.is((await run('one', 'stop')).exit, 0)
      assert.is((await ended).exit, 0)
    }
    const wrong = await run('one', 'start', '--host', '203.0.113.7')
    assert.match(wrong.stderr, /no address of this machine/)
  })
})

start.run()
