#!/usr/bin/env node
/**
 * The `cairn` command. Published, it is the compiled program; in a clone, where the sources lie beside
 * it, it runs those on a Node that can, so that there is nothing to build before the first command.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

/** libp2p needs Promise.withResolvers. */
const NODE_LEAST = [22, 0]
/** The first Node that runs TypeScript without a flag. */
const NODE_LEAST_FROM_SOURCE = [22, 18]

const source = fileURLToPath(new URL('../src/main.ts', import.meta.url))

function isAtLeast([major, minor]) {
  const [ownMajor, ownMinor] = process.versions.node.split('.').map(Number)
  return ownMajor > major || (ownMajor === major && ownMinor >= minor)
}

function refuse(least, hint) {
  process.stderr.write(
    `error: cairn needs Node ${least.join('.')} or newer, and this is ${process.versions.node}\n`
  )
  process.stderr.write(`hint: ${hint}\n`)
  process.exit(1)
}

function nodeForSource() {
  if (isAtLeast(NODE_LEAST_FROM_SOURCE)) return process.execPath
  const name = `node-${process.platform}-${process.arch}`
  const pinned = fileURLToPath(new URL(`../../../node_modules/${name}/bin/node`, import.meta.url))
  return existsSync(pinned)
    ? pinned
    : refuse(NODE_LEAST_FROM_SOURCE, '`npm start` in the clone installs one for it')
}

function runSource() {
  const args = ['--conditions=cairn-src', source, ...process.argv.slice(2)]
  const child = spawn(nodeForSource(), args, { stdio: 'inherit' })
  process.on('SIGINT', () => {}) // the terminal gives it to the child too; the child decides when to end
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.once('error', (error) => {
    process.stderr.write(`error: the command could not be started: ${error.message}\n`)
    process.exitCode = 1
  })
  child.once('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
}

if (existsSync(source)) runSource()
else if (isAtLeast(NODE_LEAST)) await import('../dist/main.js')
else refuse(NODE_LEAST, 'install it, and run the same command again')
