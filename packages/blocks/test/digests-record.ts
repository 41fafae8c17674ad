import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { CairnError, toUtf8 } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { cidOf } from '../src/cid.ts'
import { digestsOf } from '../src/digests.ts'
import { type Digested, encodeDigested, RECORD_HEADER, readRecord } from '../src/digests-record.ts'

const record = suite('digest record')
const run = promisify(execFile)

const CONTENTS: [string, string][] = [
  ['a.txt', 'abc'],
  ['new\nline \\ é', ''],
  ['sub', 'other']
]

async function files(): Promise<Digested[]> {
  return Promise.all(
    CONTENTS.map(async ([path, content]) => {
      const bytes = toUtf8(content)
      return { path, cid: cidOf(bytes), size: bytes.length, digests: await digestsOf([bytes]) }
    })
  )
}

async function all(source: Iterable<Uint8Array>) {
  const found: Digested[] = []
  for await (const each of readRecord(source)) found.push(each)
  return found
}

const plain = (each: Digested) => ({ ...each, cid: each.cid.toString() })

record('says again what was written, however it is cut', async () => {
  const given = await files()
  const bytes = toUtf8(RECORD_HEADER + given.map(encodeDigested).join(''))
  for (const step of [1, 7, 1000, bytes.length]) {
    const cut: Uint8Array[] = []
    for (let at = 0; at < bytes.length; at += step) cut.push(bytes.subarray(at, at + step))
    assert.equal((await all(cut)).map(plain), given.map(plain))
  }
})

record('has one encoding, for good', async () => {
  const [first] = await files()
  assert.is(
    RECORD_HEADER + encodeDigested({ ...(first as Digested), digests: { md5: '90', sha256: 'ba' } }),
    '# cairn-digests 1\n# bafkreif2pall7dybz7vecqka3zo24irdwabwdi4wc55jznaq75q7eaavvu 3\n' +
      'MD5 (a.txt) = 90\nSHA256 (a.txt) = ba\n'
  )
})

record('is a file of checksums that cksum of coreutils checks files by', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'cairn-record-'))
  try {
    for (const [path, content] of CONTENTS) await writeFile(join(directory, path), content)
    await writeFile(join(directory, 'RECORD'), RECORD_HEADER + (await files()).map(encodeDigested).join(''))
    const { stdout } = await run('cksum', ['-c', '--strict', 'RECORD'], { cwd: directory })
    assert.is(stdout.match(/: OK$/gm)?.length, 4 * CONTENTS.length, stdout)
    await writeFile(join(directory, 'sub'), 'changed')
    await run('cksum', ['-c', '--strict', 'RECORD'], { cwd: directory }).then(
      () => assert.unreachable('a changed file passed'),
      ({ stdout }) => assert.is(stdout.match(/: FAILED$/gm)?.length, 4)
    )
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})

record('what is none is refused, never read as one without files', async () => {
  const cid = cidOf(toUtf8('abc'))
  const hex = '0'.repeat(32)
  const bad = [
    '',
    'hello\n',
    '# cairn-digests 2\n',
    `${RECORD_HEADER}MD5 (a) = ${hex}\n`,
    `${RECORD_HEADER}# ${cid} 3\n`,
    `${RECORD_HEADER}# ${cid} 3\nMD5 (a) = ${hex}\nSHA1 (b) = ${hex}00000000\n`,
    `${RECORD_HEADER}# ${cid} 3\nMD5 (a) = ${hex}`,
    `${RECORD_HEADER}# ${cid}\nMD5 (a) = ${hex}\n`
  ]
  for (const text of bad) {
    await all([toUtf8(text)]).then(
      () => assert.unreachable(JSON.stringify(text)),
      (error) => assert.ok(CairnError.is(error, 'BAD_DAG'), `${JSON.stringify(text)}: ${error}`)
    )
  }
})

record.run()
