// limit: 240 s
/** The command's checks against one real node, and against the tools of coreutils that people have. */
import { execFile } from 'node:child_process'
import { appendFile, mkdir, mkdtemp, readFile, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { PassThrough } from 'node:stream'
import { promisify } from 'node:util'
import { digestsOf, parseCid } from '@cairn/blocks'
import { serveNode } from '@cairn/gateway'
import { type CairnNode, createNode } from '@cairn/node'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { EXIT } from '../src/failure.ts'
import { buildProgram } from '../src/program.ts'
import type { Program } from '../src/session.ts'
import { type Ended, jsonLines } from './support/run.ts'

const checks = suite('checks')
const run = promisify(execFile)

const FILES: Record<string, Buffer> = {
  'a.txt': Buffer.from('a'),
  'back\\slash': Buffer.from('b'),
  empty: Buffer.alloc(0),
  'sub/big': Buffer.alloc(2_500_000, 'big'),
  'sub/new\nline': Buffer.from('c')
}

interface Scope {
  node: CairnNode
  /** Holds `tree`, with FILES. */
  folder: string
  cairn(...args: string[]): Promise<Ended>
  /** Of a put that succeeded. */
  put(...args: string[]): Promise<string>
}

/** A command in this process, where it takes no second to start. */
async function inProcess(args: readonly string[], token = ''): Promise<Ended> {
  const [out, err] = [new PassThrough(), new PassThrough()]
  const texts = [out, err].map((stream) => stream.setEncoding('utf8').toArray())
  const streams = { stdin: process.stdin, stdout: out, stderr: err } as unknown as Program['streams']
  const program: Program = { streams, exit: EXIT.ok }
  process.env.CAIRN_TOKEN = token
  try {
    await buildProgram(program).parseAsync([...args], { from: 'user' })
  } finally {
    delete process.env.CAIRN_TOKEN
    out.end()
    err.end()
  }
  const [stdout, stderr] = (await Promise.all(texts)).map((parts) => parts.join(''))
  return { exit: program.exit, stdout: stdout as string, stderr: stderr as string }
}

async function inScope(use: (scope: Scope) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'cairn-checks-'))
  try {
    for (const [path, content] of Object.entries(FILES)) {
      await mkdir(dirname(join(folder, 'tree', path)), { recursive: true })
      await writeFile(join(folder, 'tree', path), content)
    }
    const home = join(folder, 'home')
    const node = await createNode({
      home,
      capacity: 512 * 1024 * 1024,
      create: { open: false, replicas: 1 },
      listen: ['/ip4/127.0.0.1/tcp/0']
    })
    try {
      const server = await serveNode(node, { onStop: () => {} })
      try {
        const call = (...args: string[]) => inProcess([...args, '--node', server.url], node.token)
        const put = async (...args: string[]) => {
          const { exit, stdout, stderr } = await call('put', '-Q', ...args)
          assert.is(exit, 0, stderr)
          return stdout.trim()
        }
        await use({ folder, cairn: call, put, node })
      } finally {
        await server.close()
      }
    } finally {
      await node.stop()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

checks('sums prints what sha256sum, md5sum and cksum accept, of the files that get wrote', async () => {
  await inScope(async ({ folder, cairn, put }) => {
    const cid = await put(join(folder, 'tree'))
    const got = await cairn('get', cid, '-o', join(folder, 'got'), '--check', '--json')
    assert.is(got.exit, 0, got.stderr)
    assert.equal([jsonLines(got.stdout)[0]?.checked, jsonLines(got.stdout)[0]?.unchecked], [5, 0])
    const by: [string, string[], number][] = [
      ['sha256sum', [], 5],
      ['md5sum', ['--algorithm', 'md5'], 5],
      ['sha512sum', ['-a', 'sha512', '--tag'], 5],
      ['cksum', ['-a', 'all', '--tag'], 20]
    ]
    for (const [tool, args, lines] of by) {
      const { exit, stdout } = await cairn('sums', cid, ...args)
      assert.is(exit, 0)
      await writeFile(join(folder, 'SUMS'), stdout)
      const checked = await run(tool, ['-c', '--strict', join(folder, 'SUMS')], { cwd: join(folder, 'got') })
      assert.is(checked.stdout.match(/: OK$/gm)?.length, lines, tool)
    }
    const sub = await cairn('sums', `${cid}/sub/big`)
    assert.is(sub.stdout, `${(await digestsOf([FILES['sub/big'] as Buffer])).sha256}  big\n`)
  })
})

checks(
  'sums of what was put without digests: those that the CIDs hold, the others when asked to',
  async () => {
    await inScope(async ({ folder, cairn, put }) => {
      const cid = await put(join(folder, 'tree'), '--digests', 'none')
      const some = await cairn('sums', cid)
      assert.equal([some.exit, some.stdout.split('\n').length], [4, 5]) // all but the one of three blocks
      assert.match(some.stderr, /1 digest was not kept/)
      const all = await cairn('sums', cid, '-a', 'md5', '--compute')
      assert.is(all.exit, 0)
      await writeFile(join(folder, 'SUMS'), all.stdout)
      await run('md5sum', ['-c', '--strict', join(folder, 'SUMS')], { cwd: join(folder, 'tree') })
      const got = await cairn('get', cid, '-o', join(folder, 'got'), '--check')
      assert.is(got.exit, 0)
      assert.match(got.stderr, /5 files of 5 had no digests kept/)
      assert.match((await cairn('stat', `${cid}/sub/big`)).stderr, /No digests were kept/)
    })
  }
)

checks(
  'put expects what sha256sum wrote: it passes, and every difference is named with exit code 7',
  async () => {
    await inScope(async ({ folder, cairn, put }) => {
      const tree = join(folder, 'tree')
      const names = Object.keys(FILES)
      const { stdout: sums } = await run('sha256sum', ['--', ...names], { cwd: tree })
      await writeFile(join(tree, 'SHA256SUMS'), sums) // in the directory itself, as archives have it
      const cid = await put(tree, '--expect', `@${join(tree, 'SHA256SUMS')}`)
      const md5 = (await digestsOf([FILES['a.txt'] as Buffer])).md5 as string
      await put(join(tree, 'a.txt'), '--expect', `md5:${md5}`, '--name', 'another')
      await put(join(tree, 'a.txt'), '--expect', `@${join(tree, 'SHA256SUMS')}`, '--name', 'another')
      await appendFile(join(tree, 'a.txt'), '!')
      await unlink(join(tree, 'empty'))
      await writeFile(join(tree, 'sub/more'), 'more')
      const before = (await cairn('pin', 'ls', '--json')).stdout
      const refused = await cairn('put', tree, '--expect', `@${join(tree, 'SHA256SUMS')}`)
      assert.equal([refused.exit, refused.stdout], [7, ''])
      assert.match(refused.stderr, /3 files are not what was expected.*DIGEST_MISMATCH/)
      for (const line of [
        /a\.txt: sha256 is \w+, expected ca978/,
        /empty: listed, and not/,
        /sub\/more: not listed/
      ]) {
        assert.match(refused.stderr, line)
      }
      const one = await cairn('put', join(tree, 'a.txt'), '--expect', `md5:${md5}`, '--json')
      assert.equal(
        [one.exit, (jsonLines(one.stdout)[0] as { error: { code: string } }).error.code],
        [7, 'DIGEST_MISMATCH']
      )
      assert.is((await cairn('pin', 'ls', '--json')).stdout, before)
      assert.match(before, new RegExp(cid))
      assert.is((await cairn('put', tree, '--expect', 'crc:00')).exit, 2)
      assert.is((await cairn('put', tree, '--expect', '@nowhere')).exit, 4)
    })
  }
)

checks('stat shows the four digests and the copies, find finds by any of them', async () => {
  await inScope(async ({ folder, cairn, put }) => {
    const cid = await put(join(folder, 'tree'))
    const digests = await digestsOf([FILES['sub/big'] as Buffer])
    const { stdout } = await cairn('stat', `${cid}/sub/big`)
    for (const hex of Object.values(digests)) assert.match(stdout, hex)
    assert.match(stdout, /size +2\.5 MB \(2,500,000 bytes\)/)
    assert.match(stdout, /copies +1\/1 healthy/)
    const json = jsonLines((await cairn('stat', `${cid}/sub/big`, '--json')).stdout)[0]
    assert.equal([json?.digests, json?.size, json?.blocks], [digests, 2_500_000, 4])
    for (const [name, hex] of Object.entries(digests)) {
      const found = jsonLines((await cairn('find', `${name}:${hex}`, '--json')).stdout)
      assert.equal(
        found.map(({ path, pin }) => [path, pin]),
        [['sub/big', cid]]
      )
    }
    assert.is((await cairn('find', `md5:${'0'.repeat(32)}`)).exit, 4)
    assert.is((await cairn('find', 'md5:0')).exit, 2)
  })
})

checks('verify compares a path with a CID: the same, or what differs with exit code 7', async () => {
  await inScope(async ({ folder, cairn, put }) => {
    const tree = join(folder, 'tree')
    await symlink('a.txt', join(tree, 'link'))
    const cid = await put(tree)
    await writeFile(join(tree, '.hidden'), 'not put either')
    assert.is((await cairn('verify', tree, cid)).exit, 0)
    assert.is((await cairn('verify', join(tree, 'sub/big'), `${cid}/sub/big`)).exit, 0)
    assert.equal((await cairn('verify', tree, cid, '--hidden')).stdout, '.hidden: only here\n')
    const big = FILES['sub/big'] as Buffer
    await writeFile(join(tree, 'sub/big'), Buffer.concat([big.subarray(0, -1), Buffer.from('!')]))
    await unlink(join(tree, 'empty'))
    await writeFile(join(tree, 'more'), '')
    await unlink(join(tree, 'link'))
    await symlink('sub', join(tree, 'link'))
    const { exit, stdout } = await cairn('verify', tree, cid)
    assert.is(exit, 7)
    assert.equal(stdout.trim().split('\n').sort(), [
      'empty: missing here',
      'link: differs',
      'more: only here',
      'sub/big: differs'
    ])
  })
})

checks('get --check finds what the disk changed, and names it', async () => {
  await inScope(async ({ folder, cairn, put, node }) => {
    // digests of other bytes, as if the disk had changed them after: the record is what it is checked by
    const cid = await put(join(folder, 'tree', 'a.txt'), '--digests', 'none')
    const text = `# cairn-digests 1\n# ${cid} 1\nMD5 (a.txt) = ${'0'.repeat(32)}\n`
    await writeFile(join(folder, 'record'), text)
    const other = await put(join(folder, 'record'), '--digests', 'none')
    await node.refs.set('checked', { root: parseCid(cid), metadata: { digests: other } })
    const { exit, stderr } = await cairn('get', cid, '-o', join(folder, 'got'), '--check')
    assert.is(exit, 7)
    assert.match(stderr, /not what was put.*DIGEST_MISMATCH\n.*got: md5/)
    assert.is((await cairn('get', cid, '-o', '-', '--check')).exit, 2)
  })
})

checks('receipts are kept in a file, checked without a node, and forged ones are found', async () => {
  await inScope(async ({ folder, cairn: withNode, put }) => {
    const file = join(folder, 'receipts')
    const cid = await put(join(folder, 'tree'), '--receipts', file)
    await put(join(folder, 'tree'), '--receipts', file) // added to what is there
    const offline = (...args: string[]) => inProcess([...args, '--home', join(folder, 'none')])
    const { exit, stdout } = await offline('receipts', 'check', file, '--json')
    assert.is(exit, 0)
    const { holders, bad } = jsonLines(stdout)[0] as {
      holders: { blocks: number; network: string }[]
      bad: []
    }
    assert.equal([holders.length, holders[0]?.blocks, bad], [1, 11, []]) // ten of the tree, and the record
    const one = await offline('receipts', 'check', file, cid)
    assert.match(one.stdout, /^HOLDER .*\n\S+ +1 /)
    const unknown = 'bafkreicouv3sksjuzxb3rbb6rziy6duakk2aikegsmtqtz5rsuppjorxsa'
    assert.is((await offline('receipts', 'check', file, unknown)).exit, 4)
    const lines = (await readFile(file, 'utf8')).trim().split('\n')
    const { receipt, items } = JSON.parse(lines[0] as string)
    const flipped = Buffer.from(receipt, 'base64')
    flipped[40] = (flipped[40] as number) ^ 1
    const short = Buffer.from(items, 'base64').subarray(0, -66)
    short[0] = (short[0] as number) - 1
    const forged = [
      JSON.stringify({ v: 1, receipt: flipped.toString('base64'), items }),
      JSON.stringify({ v: 1, receipt, items: short.toString('base64') }),
      'nonsense'
    ]
    await writeFile(file, [...lines, ...forged].join('\n'))
    const found = await offline('receipts', 'check', file, '--json')
    assert.is(found.exit, 7)
    const report = jsonLines(found.stdout)[0] as { bad: { line: number }[] }
    assert.equal(
      report.bad.map(({ line }) => line),
      [1, 2, 3].map((i) => lines.length + i)
    )
    assert.is((await withNode('status', cid)).exit, 0)
  })
})

checks('MD5, SHA-1 and identity are refused as addresses by every command, with the reason', async () => {
  await inScope(async ({ folder, cairn }) => {
    const named: [string, RegExp][] = [
      ['bafk5kaiqtxkoiyjgrsadj5oikzhbkxdhuy', /md5: two contents with one MD5/],
      ['bafkrcfar62wy5rjkfgckxkx5pq5vczidpboca4q', /sha1: two contents with one SHA-1/],
      ['bafkqaaik', /identity: it carries the bytes/]
    ]
    for (const [cid, reason] of named) {
      for (const args of [
        ['cat', cid],
        ['stat', cid],
        ['verify', folder, cid],
        ['rm', cid]
      ]) {
        const { exit, stderr } = await cairn(...args)
        assert.is(exit, 2, `${args}: ${stderr}`)
        assert.match(stderr, reason)
        assert.match(stderr, /try: add the data again with sha2-256, sha2-512 or blake3/)
      }
    }
  })
})

checks.run()
