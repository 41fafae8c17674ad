// limit: 600 s
import { spawn } from 'node:child_process'
import { lstat, mkdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { runningNodes } from '../src/cluster.ts'
import { isAlive } from '../src/home.ts'
import { until } from '../src/processes.ts'
import { COMMAND, cairn, cleanEnv, type Ended, inTempFolder, jsonLines } from './support/run.ts'

const cluster = suite('cluster')

/** For things that take a second or two on an idle machine. */
const LIMIT_MS = 60_000

interface Node {
  k: number
  pid: number
  url: string
}

type Run = (...args: string[]) => Promise<Ended>

/** A detached cluster in a home of its own; whatever the test does, no process of it is left. */
async function withCluster(
  n: number,
  use: (run: Run, nodes: Node[], home: string) => Promise<void>
): Promise<void> {
  await inTempFolder(async (folder) => {
    const home = join(folder, 'home')
    const run: Run = (...args) => cairn(args, { env: { CAIRN_HOME: home } })
    try {
      const started = await run('cluster', 'start', String(n), '-d', '--repair-delay', '1s', '--json')
      assert.is(started.exit, 0, started.stdout + started.stderr)
      const [ready] = jsonLines(started.stdout)
      await use(run, ready?.nodes as Node[], home)
    } finally {
      await run('cluster', 'stop', '--wipe')
    }
  })
}

function ok(ended: Ended, exit = 0): Ended {
  assert.is(ended.exit, exit, ended.stdout + ended.stderr)
  return ended
}

async function makeTree(folder: string): Promise<string> {
  const tree = join(folder, 'tree')
  await mkdir(join(tree, 'sub', 'empty'), { recursive: true })
  await writeFile(join(tree, 'a.txt'), 'hello')
  await writeFile(join(tree, 'sub', 'large'), Buffer.alloc(2_500_000, 'cairn'))
  await writeFile(join(tree, 'sub', '\u001b[2J'), '')
  await writeFile(join(tree, '.hidden'), 'h')
  await symlink('sub/large', join(tree, 'link'))
  return tree
}

cluster('a directory goes in, is looked at, and comes back', async () => {
  await withCluster(3, async (run, nodes, home) => {
    const tree = await makeTree(join(home, '..'))
    const put = ok(await run('put', tree))
    const [, cid = ''] =
      /^(bafy\w+) {2}tree\/ {2}2\.5 MB {2}3\/3 replicas \(.+, .+, .+\)\n$/.exec(put.stdout) ?? []
    assert.is.not(cid, '', put.stdout)
    assert.match(put.stderr, /left out 1 entry; --hidden takes hidden ones/)
    assert.match(put.stderr, `Get it back: cairn get ${cid} -o tree`)
    assert.is(ok(await run('cid', '-q', tree)).stdout, `${cid}\n`)
    assert.is(ok(await run('put', '-Q', '-q', tree)).stdout, `${cid}\n`)

    const ls = ok(await run('ls', cid)).stdout
    assert.match(ls, /^NAME +SIZE +CID\na\.txt +5 B +bafkrei/)
    assert.match(ls, /^sub\/ +- /m)
    const below = ok(await run('ls', `${cid}/sub`)).stdout
    assert.match(below, /\\u\{1b\}\[2J/)
    assert.not.match(below, '\u001b')
    assert.is(ok(await run('cat', `${cid}/a.txt`)).stdout, 'hello')
    assert.is(ok(await run('get', `${cid}/a.txt`, '--range', '1-3')).stdout, 'ell')
    ok(await run('cat', `${cid}/none`), 4)
    ok(await run('ls', 'notacid'), 4) // it may be a name, and nobody has it

    const back = join(home, '..', 'back')
    ok(await run('get', cid, '-o', back))
    assert.is(await readFile(join(back, 'a.txt'), 'utf8'), 'hello')
    assert.ok((await readFile(join(back, 'sub', 'large'))).equals(await readFile(join(tree, 'sub', 'large'))))
    assert.is(await readlink(join(back, 'link')), 'sub/large')
    assert.ok((await lstat(join(back, 'sub', 'empty'))).isDirectory())
    assert.match(ok(await run('get', cid, '-o', back)).stderr, /2\.5 MB were there already/)
    await writeFile(join(back, 'a.txt'), 'other')
    assert.match(ok(await run('get', cid, '-o', back), 1).stderr, /FILE_EXISTS/)
    assert.is(await readFile(join(back, 'a.txt'), 'utf8'), 'other')
    ok(await run('get', cid, '-o', back, '--force'))
    assert.is(await readFile(join(back, 'a.txt'), 'utf8'), 'hello')

    const pins = jsonLines(ok(await run('pin', 'ls', '--json')).stdout)
    assert.ok(pins.some(({ root, name }) => root === cid && name === 'tree/'))
    // a member that does not answer within a second is not counted
    const status = await until(async () => /^HEALTHY /.exec((await run('status', cid)).stdout) ?? undefined, {
      limitMs: LIMIT_MS
    })
    assert.ok(status, 'three copies of all')
    const alive = await until(
      async () => {
        const peers = jsonLines(ok(await run('peers', '--json')).stdout)
        return peers.filter(({ state }) => state === 'alive').length === 3 ? peers : undefined
      },
      { limitMs: LIMIT_MS }
    )
    assert.is(alive?.length, 3)
    assert.is(nodes.length, 3)

    const car = join(home, '..', 'tree.car')
    ok(await run('car', 'export', cid, '-o', car))
    assert.match(ok(await run('car', 'import', car)).stdout, `${cid}  2.5 MB  3/3 replicas`)
    ok(await run('rm', cid))
  })
})

cluster('a killed node is noticed and repaired, and one more takes part', async () => {
  await withCluster(4, async (run, nodes) => {
    ok(await cairnPut(run))
    const second = nodes[1] as Node
    assert.match(
      ok(await run('cluster', 'kill', '2')).stdout,
      new RegExp(`^killed n2 .*process ${second.pid}`)
    )
    assert.not.ok(isAlive(second.pid))
    ok(await run('cluster', 'kill', '2'), 4)
    const seen = await until(
      async () => {
        const [status] = jsonLines((await run('status', '--json')).stdout)
        return status?.alive === 3 && status.verdict === 'healthy' ? status : undefined
      },
      { limitMs: LIMIT_MS }
    )
    assert.ok(seen, 'three alive and healthy again')
    const added = jsonLines(ok(await run('cluster', 'add', '--json')).stdout)
    assert.is(added[0]?.k, 5)
    assert.is(ok(await run('cluster', 'status', '--json')).stdout.match(/"k":/g)?.length, 4)
  })
})

async function cairnPut(run: Run): Promise<Ended> {
  return run('put', new URL('../package.json', import.meta.url).pathname)
}

cluster('with fewer members than N it is stored, says so, and exits with 6', async () => {
  await withCluster(2, async (run) => {
    const put = ok(await cairnPut(run), 6)
    assert.match(put.stdout, /2\/3 replicas/)
    assert.match(put.stderr, /2 of 3, waiting for a member/)
    const cid = put.stdout.split(' ')[0] as string
    assert.match(ok(await run('status', cid), 6).stdout, /^UNDER-REPLICATED/)
    ok(await run('cluster', 'add'))
    const healed = await until(async () => ((await run('status', cid)).exit === 0 ? true : undefined), {
      limitMs: LIMIT_MS
    })
    assert.ok(healed, 'three copies once there are three members')
  })
})

cluster('a stopped cluster returns with what it held; --wipe leaves nothing', async () => {
  await withCluster(3, async (run, nodes, home) => {
    const cid = ok(
      await run('put', '-Q', '-q', new URL('../package.json', import.meta.url).pathname)
    ).stdout.trim()
    ok(await run('cluster', 'start', '3', '-d'), 1)
    assert.is(ok(await run('cluster', 'stop')).stdout, 'stopped 3 nodes\n')
    for (const { pid } of nodes) assert.not.ok(isAlive(pid))
    ok(await run('cat', cid), 3)
    ok(await run('cluster', 'start', '3', '-d'))
    assert.match(ok(await run('cat', cid)).stdout, '"@cairn/cli"')
    ok(await run('cluster', 'stop', '--wipe'))
    assert.is(await lstat(join(home, 'cluster')).catch(() => 'gone'), 'gone')
  })
})

/** A cluster in the foreground, from its start until `end` has ended it. */
async function inForeground(end: (pids: { command: number; main: number }) => void): Promise<void> {
  await inTempFolder(async (home) => {
    const command = spawn(process.execPath, [COMMAND, 'cluster', 'start', '2', '--home', home], {
      env: cleanEnv(),
      stdio: 'ignore'
    })
    try {
      const running = await until(
        async () => {
          const nodes = await runningNodes(home)
          return nodes.length === 2 ? nodes : undefined
        },
        { limitMs: LIMIT_MS }
      )
      assert.ok(running, 'two nodes')
      const log = await readFile(join(home, 'cluster', 'n1.log'), 'utf8')
      const { whilePid } = JSON.parse(log.split('\n')[0] as string)
      end({ command: command.pid as number, main: whilePid })
      const pids = [whilePid, ...running.map(({ pid }) => pid)]
      const gone = await until(() => (pids.some(isAlive) ? undefined : true), { limitMs: LIMIT_MS })
      assert.ok(gone, 'no process is left')
      assert.equal(await runningNodes(home), [])
    } finally {
      await cairn(['cluster', 'stop', '--wipe', '--home', home])
      command.kill('SIGKILL')
    }
  })
}

cluster('in the foreground, a signal stops all of it', async () => {
  await inForeground(({ command }) => process.kill(command, 'SIGTERM'))
})

cluster('in the foreground, nothing outlives a command that was killed', async () => {
  await inForeground(({ main }) => process.kill(main, 'SIGKILL'))
})

cluster.run()
