/** Against the real tools of coreutils, which decide what a file of checksums is. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DIGEST_NAMES, digestsOf } from '../src/digests.ts'
import { formatSum, parseSums, type Sum } from '../src/sums.ts'

const sums = suite('sums')
const run = promisify(execFile)
const NAMES = [
  'plain',
  'two words',
  ' leading',
  '*star',
  'back\\slash',
  'new\nline',
  'é',
  'it) = (s',
  '#hash'
]
const ODD = ['a\rb'] // coreutils before 9 writes it as it is

async function inFolder(use: (path: string, all: Sum[]) => Promise<void>): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), 'cairn-sums-'))
  try {
    const all: Sum[] = []
    for (const [i, name] of [...NAMES, ...ODD].entries()) {
      const content = Buffer.from(`content ${i}`)
      await writeFile(join(path, name), content)
      const digests = await digestsOf([content])
      for (const algorithm of DIGEST_NAMES) {
        all.push({ path: name, name: algorithm, hex: digests[algorithm] as string })
      }
    }
    await use(path, all)
  } finally {
    await rm(path, { recursive: true, force: true })
  }
}

sums('that we write, sha256sum, md5sum, sha1sum and sha512sum accept, with and without tags', async () => {
  await inFolder(async (path, all) => {
    for (const name of DIGEST_NAMES) {
      for (const tag of [false, true]) {
        const lines = all.filter((sum) => sum.name === name).map((sum) => formatSum(sum, { tag }))
        await writeFile(join(path, 'SUMS'), `${lines.join('\n')}\n`)
        const { stdout } = await run(`${name}sum`, ['-c', '--strict', 'SUMS'], { cwd: path })
        assert.is(stdout.match(/: OK$/gm)?.length, NAMES.length + ODD.length, stdout)
      }
    }
  })
})

sums('that coreutils writes, we read: text, binary, with tags, escaped names', async () => {
  await inFolder(async (path, all) => {
    for (const name of DIGEST_NAMES) {
      for (const flag of ['--text', '--binary', '--tag']) {
        const { stdout } = await run(`${name}sum`, [flag, '--', ...NAMES, ...ODD], { cwd: path })
        const wanted = all.filter((sum) => sum.name === name)
        assert.equal(parseSums(stdout), wanted, `${name}sum ${flag}`)
      }
    }
  })
})

sums('a line is what coreutils writes for it, to the byte', async () => {
  await inFolder(async (path, all) => {
    const { stdout } = await run('sha512sum', ['--', ...NAMES], { cwd: path })
    const ours = all.filter(({ name, path }) => name === 'sha512' && NAMES.includes(path))
    assert.is(ours.map((sum) => `${formatSum(sum)}\n`).join(''), stdout)
  })
})

sums('comments, empty lines and CRLF are read as coreutils reads them', () => {
  const hex = '0'.repeat(32)
  assert.equal(parseSums(`# made by hand\r\n\r\n${hex}  a b\r\n`), [{ path: 'a b', name: 'md5', hex }])
})

sums('a line that is no checksum, another digest, an empty text: each is refused with a reason', () => {
  const refused: [string, RegExp][] = [
    [`${'0'.repeat(32)}  a\nnonsense\n`, /line 2 .*nonsense/],
    [`${'0'.repeat(56)}  a\n`, /does not compute: 56 digits/],
    [`SHA224 (a) = ${'0'.repeat(56)}\n`, /does not compute: SHA224/],
    [`\\${'0'.repeat(32)}  bad\\escape\n`, /line 1/],
    ['# nothing\n', /holds none/]
  ]
  for (const [text, message] of refused) {
    assert.throws(
      () => parseSums(text),
      (error: unknown) => CairnError.is(error, 'BAD_REQUEST') && message.test(error.message)
    )
  }
})

sums.run()
