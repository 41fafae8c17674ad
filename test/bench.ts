/** That the benchmark of the whole path runs, and that its table, plot and page say what it measured. */
// limit: 120 s
// beside others
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const BENCH = fileURLToPath(new URL('../scripts/bench.ts', import.meta.url))
const run = async (...args: string[]) =>
  (await promisify(execFile)(process.execPath, ['--conditions=cairn-src', BENCH, ...args])).stdout

const bench = suite('npm run bench')

bench('--smoke measures the limits, a put and a get; table, page and plot show them', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bench-'))
  try {
    const [said, page] = [join(folder, 'said.json'), join(folder, 'page.md')]
    await writeFile(said, await run('--smoke', '--json'))
    const { samples, notes } = JSON.parse(await readFile(said, 'utf8')) as {
      samples: { stage: string; who: string; seconds: number }[]
      notes: string[]
    }
    const stages = samples.filter(({ who }) => who === 'Cairn').map(({ stage }) => stage)
    assert.equal(stages, ['put on three, 4 MiB', 'get, 4 MiB'])
    const limits = samples.filter(({ stage }) => stage.startsWith('limits')).map(({ who }) => who)
    assert.equal(limits, ['SHA-256', 'socket', 'node:tls', 'synced write'])
    assert.ok(samples.every(({ seconds }) => seconds > 0))
    assert.match(notes.join(), /put on three: \d+\.\d\d times the CPU of its hashing/)

    const marks = ['<!-- made by npm run bench: begin -->', '<!-- made by npm run bench: end -->']
    await writeFile(page, `before\n${marks[0]}\nold\n${marks[1]}\nafter\n`)
    const table = await run('--from', said, '--docs', page)
    assert.match(table, /\nput on three, 4 MiB\nCairn +\d+\.\d\d s/)
    const written = await readFile(page, 'utf8')
    assert.match(written, /^before\n[\s\S]*\n\| \*\*get, 4 MiB\*\* \|[\s\S]*\nafter\n$/)
    assert.not.match(written, /old/)
    assert.match(
      await readFile(join(folder, 'page.svg'), 'utf8'),
      /^<svg [\s\S]*put on three, 4 MiB[\s\S]*<\/svg>\n$/
    )
  } finally {
    await rm(folder, { recursive: true })
  }
})

bench.run()
