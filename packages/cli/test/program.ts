// limit: 180 s
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { cairn, inTempFolder, jsonLines } from './support/run.ts'

const program = suite('program')

/** Nothing listens there: a port that the system hands to nobody by itself. */
const NOBODY = 'http://127.0.0.1:1'

program('what is not understood exits with 2, names it, and says what was meant', async () => {
  const table: [string[], RegExp, RegExp][] = [
    [['put'], /missing required argument/, /cairn put --help/],
    [['put', 'x', '--replcas', '3'], /unknown option '--replcas'/, /--replicas/],
    [['pt', 'x'], /unknown command 'pt'/, /put/],
    [[], /a command is missing/, /cairn --help/],
    [['cluster', 'strt'], /unknown command 'strt'/, /start/],
    [['put', 'x', '--ack', 'most'], /"most" is not/, /all, quorum, one/],
    [['put', 'x', '--replicas', '0'], /"0" is not a number of replicas/, /from 1 to 32/],
    [['get', 'x', '--range', '5-1'], /"5-1" is not/, /1000-1999/],
    [['status', '--timeout', '30'], /"30" is not a duration/, /30s/],
    [['put', 'a', 'b'], /too many arguments/, /cairn put --help/]
  ]
  for (const [args, message, hint] of table) {
    const { exit, stdout, stderr } = await cairn(args)
    assert.is(exit, 2, args.join(' '))
    assert.is(stdout, '', args.join(' '))
    const [first = '', second = ''] = stderr.split('\n')
    assert.match(first, message)
    assert.match(first, /^error: .* {2}BAD_REQUEST$/)
    assert.match(second, hint)
    assert.match(second, /^ {2}try: /)
  }
})

program('with --json the same error is one object on stdout, and stderr is empty', async () => {
  const { exit, stdout, stderr } = await cairn(['--json', 'put', 'x', '--replcas', '3'])
  const error = {
    code: 'BAD_REQUEST',
    message: "unknown option '--replcas'",
    hint: 'did you mean --replicas?'
  }
  assert.is(exit, 2)
  assert.is(stderr, '')
  assert.equal(jsonLines(stdout), [{ v: 1, error: { ...error, retryable: false, exit: 2 } }])
})

program('every command has help on stdout, with the global options', async () => {
  const words =
    'put get cat ls rm pin cid car start join invite peers status leave stop cluster scrub gc store version'
  const { exit, stdout } = await cairn(['--help'])
  assert.is(exit, 0)
  for (const word of words.split(' ')) assert.match(stdout, new RegExp(`^  ${word}\\b`, 'm'))
  const put = await cairn(['put', '--help'])
  assert.is(put.exit, 0)
  for (const option of ['--replicas', '--ack', '--hidden', '--json', '--home'])
    assert.match(put.stdout, option)
})

program('without a node, a command says how to start one and exits with 3', async () => {
  await inTempFolder(async (home) => {
    for (const args of [
      ['status'],
      ['put', 'x'],
      ['peers'],
      ['invite'],
      ['stop'],
      ['cluster', 'kill', '1']
    ]) {
      const { exit, stderr, stdout } = await cairn(['--home', home, ...args])
      assert.is(exit, args[0] === 'cluster' ? 4 : 3, args.join(' '))
      assert.is(stdout, '')
      assert.match(stderr, /try: .*start/)
    }
    const { exit, stdout } = await cairn(['status', '--json'], { env: { CAIRN_HOME: home } })
    assert.is(exit, 3)
    assert.match(JSON.stringify(jsonLines(stdout)[0]), '"code":"UNREACHABLE"')
  })
})

program('what a killed node left behind is not taken for a running one', async () => {
  await inTempFolder(async (home) => {
    // a process id above the largest that Linux gives
    const left = JSON.stringify({ pid: 2 ** 22 + 1, url: NOBODY, addresses: [] })
    await writeFile(join(home, 'running.json'), left)
    const { exit, stderr } = await cairn(['--home', home, 'status'])
    assert.is(exit, 3)
    assert.match(stderr, /no node is running in/)
  })
})

program('a node that was named but does not answer exits with 3', async () => {
  await inTempFolder(async (home) => {
    for (const env of [{ CAIRN_NODE: NOBODY }, {}] as Record<string, string>[]) {
      const named = env.CAIRN_NODE === undefined ? ['--node', NOBODY] : []
      const { exit, stderr } = await cairn(['--home', home, ...named, 'status'], { env })
      assert.is(exit, 3, stderr)
      assert.match(stderr, /127\.0\.0\.1:1/)
    }
    const { exit } = await cairn(['--home', home, '--node', 'http://[', 'status'])
    assert.is(exit, 2)
  })
})

program('a mistake in cairn.toml stops every command, and is named', async () => {
  await inTempFolder(async (home) => {
    await writeFile(join(home, 'cairn.toml'), 'replcas = 3\n')
    const { exit, stderr } = await cairn(['--home', home, 'status'])
    assert.is(exit, 2)
    assert.match(stderr, /unknown key "replcas" in .*cairn\.toml/)
    assert.match(stderr, /did you mean "replicas"\?/)
  })
})

program('cid needs no node, and gives what IPFS tools give', async () => {
  const { exit, stdout, stderr } = await cairn(['cid', '-'], { stdin: 'hello IPFS\n' })
  assert.is(exit, 0, stderr)
  assert.is(stdout, 'bafkreicouv3sksjuzxb3rbb6rziy6duakk2aikegsmtqtz5rsuppjorxsa\n')
  const quiet = await cairn(['cid', '-', '-q'], { stdin: 'hello IPFS\n' })
  assert.is(quiet.stderr, '')
  const json = await cairn(['cid', '-', '--json'], { stdin: 'hello IPFS\n' })
  assert.equal(jsonLines(json.stdout), [{ v: 1, cid: stdout.trim(), size: 11, blocks: 1 }])
})

program(
  'cid of a directory leaves hidden files out unless told, and a missing path exits with 4',
  async () => {
    await inTempFolder(async (folder) => {
      await mkdir(join(folder, 'd'))
      await writeFile(join(folder, 'd', 'a'), 'a')
      const plain = (await cairn(['cid', '-q', join(folder, 'd')])).stdout
      await writeFile(join(folder, 'd', '.b'), 'b')
      assert.is((await cairn(['cid', '-q', join(folder, 'd')])).stdout, plain)
      assert.is.not((await cairn(['cid', '-q', '--hidden', join(folder, 'd')])).stdout, plain)
      const missing = await cairn(['cid', join(folder, 'none')])
      assert.is(missing.exit, 4)
      assert.match(missing.stderr, /try: check the path/)
    })

    program('version prints the version, asked for either way', async () => {
      for (const asked of ['version', '--version', '-V']) {
        const { exit, stdout } = await cairn([asked])
        assert.is(exit, 0, asked)
        assert.match(stdout, /^cairn \d+\.\d+\.\d+ /, asked)
      }
    })
  }
)

program('colours are for terminals, and for who asks', async () => {
  const plain = await cairn(['pt'])
  assert.not.match(plain.stderr, '\u001b')
  const forced = await cairn(['pt'], { env: { FORCE_COLOR: '1' } })
  assert.match(forced.stderr, '\u001b[31m')
  const refused = await cairn(['pt', '--no-color'], { env: { FORCE_COLOR: '1' } })
  assert.not.match(refused.stderr, '\u001b')
})

program.run()
