// limit: 120 s
/** Runs the public suite for blockstores over Cairn's, where its own small workspace is installed. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const WORKSPACE = fileURLToPath(new URL('store-blockstore', import.meta.url))
const MOCHA = join(WORKSPACE, 'node_modules/mocha/bin/mocha.js')

const blockstore = suite('interface-blockstore-tests')

blockstore('passes on disk and in memory, or is not installed', () => {
  if (!existsSync(MOCHA)) {
    console.log('SKIPPED: the public blockstore suite needs `npm ci` in test/store-blockstore')
    return
  }
  const args = ['--conditions=cairn-src', MOCHA, '--reporter', 'dot', 'run.mjs']
  const said = execFileSync(process.execPath, args, { cwd: WORKSPACE, encoding: 'utf8' })
  assert.match(said, /36 passing/)
  assert.not.match(said, /failing/)
})

blockstore.run()
