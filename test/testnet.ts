/** `npm start -- --once`: every step holds, and nothing is left behind. */
// limit: 480 s
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ROOT } from './structure/tree.ts'

/** Under two minutes on two idle cores; the runner kills what takes eight. */
const LIMIT_MS = 460_000

const testnet = suite('npm start')

interface Ended {
  code: number
  output: string
}

function start(args: readonly string[], folder: string): Promise<Ended> {
  const script = join(ROOT, 'scripts', 'bootstrap.mjs')
  const all = [script, 'scripts/testnet.ts', ...args]
  const options = { cwd: ROOT, timeout: LIMIT_MS, env: { ...process.env, TMPDIR: folder } }
  return new Promise((resolve) => {
    execFile(process.execPath, all, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ code, output: stdout + stderr })
    })
  })
}

testnet('-- --once shows all six steps, exits with 0 and leaves nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'testnet-'))
  try {
    const { code, output } = await start(['--once'], folder)
    console.log(output.trimEnd())
    assert.is(code, 0, output)
    for (let step = 1; step <= 6; step++) assert.match(output, `${step}/6`, `step ${step} of 6`)
    assert.match(output, 'Every step held')
    assert.equal(await readdir(folder), [], 'what it left in its directory')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

testnet('what it does not understand is refused, with how to call it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'testnet-'))
  try {
    const { code, output } = await start(['--twice'], folder)
    assert.is(code, 1)
    assert.match(output, '--twice')
    assert.match(output, 'npm start -- [DIR] [--once]')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

testnet.run()
