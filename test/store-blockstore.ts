// limit: 120 s
// beside others
/** Runs the public suite for blockstores over Cairn's, from a small workspace that it installs first. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const WORKSPACE = fileURLToPath(new URL('store-blockstore', import.meta.url))
const MOCHA = join(WORKSPACE, 'node_modules/mocha/bin/mocha.js')

const blockstore = suite('interface-blockstore-tests')

/** False where there is no network, and nothing kept of an earlier time. */
function install(): boolean {
  if (existsSync(MOCHA)) return true
  try {
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
    execFileSync('npm', args, { cwd: WORKSPACE, stdio: ['ignore', 'ignore', 'pipe'] })
    return true
  } catch (error) {
    console.log(`SKIPPED: the public blockstore suite can't be installed: ${(error as Error).message}`)
    return false
  }
}

blockstore('passes on disk and in memory', () => {
  if (!install()) return
  const args = ['--conditions=cairn-src', MOCHA, '--reporter', 'dot', 'run.mjs']
  const said = execFileSync(process.execPath, args, { cwd: WORKSPACE, encoding: 'utf8' })
  assert.match(said, /36 passing/)
  assert.not.match(said, /failing/)
})

blockstore.run()
