/**
 * Runs one of the project's scripts from an empty clone with nothing but Node 20 and npm: installs what
 * the lockfile names if that is not yet there, then starts the script on the pinned Node from its source.
 * Plain JavaScript without imports from packages, because it runs before any is installed.
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** pnpm 11 does not run on Node 20; 12 is a native binary and needs no Node at all. */
const PNPM = 'pnpm@12.21.0'
/** The first Node that runs TypeScript without a flag. Asked of the user's own Node only. */
const NODE_LEAST = [22, 18]

const root = fileURLToPath(new URL('..', import.meta.url))
const bin = join(root, 'node_modules', '.bin')
const pinned = join(root, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node')

function fail(message, next) {
  process.stderr.write(`error: ${message}\nhint: ${next}\n`)
  process.exit(1)
}

function bytesOf(path) {
  return existsSync(path) ? readFileSync(path) : undefined
}

/** pnpm leaves a copy of the lockfile that it installed. Asking pnpm itself takes a minute offline. */
function isInstalled() {
  const installed = bytesOf(join(root, 'node_modules', '.pnpm', 'lock.yaml'))
  return installed?.equals(readFileSync(join(root, 'pnpm-lock.yaml'))) === true
}

/** Starts a child that gets this process's signals, and resolves to the exit code to pass on. */
function run(command, args, options) {
  const child = spawn(command, args, { cwd: root, ...options })
  const forward = (signal) => child.kill(signal)
  const ignore = () => {} // the terminal gives SIGINT to the child too; it decides when to end
  process.on('SIGINT', ignore).on('SIGTERM', forward).on('SIGHUP', forward)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      process.off('SIGINT', ignore).off('SIGTERM', forward).off('SIGHUP', forward)
      resolve(code ?? 128 + constants.signals[signal])
    })
  })
}

async function install() {
  const args = ['--yes', PNPM, 'install', '--frozen-lockfile', '--reporter=append-only']
  process.stderr.write('installing what pnpm-lock.yaml names (once; later starts need no network)\n')
  // stdout is the script's own: what an install prints belongs on stderr
  const shell = process.platform === 'win32'
  const code = await run('npx', args, { stdio: ['ignore', 2, 2], shell }).catch((cause) =>
    fail(`npx could not be started: ${cause.message}`, 'install npm, which brings npx, and try again')
  )
  if (code > 128) process.exit(code)
  if (code !== 0) {
    fail(
      `the install ended with code ${code}`,
      'the first run needs the network: check it and run the same command again; what was fetched is kept'
    )
  }
}

function nodeToUse() {
  if (existsSync(pinned)) return pinned
  const [major, minor] = process.versions.node.split('.').map(Number)
  const enough = major > NODE_LEAST[0] || (major === NODE_LEAST[0] && minor >= NODE_LEAST[1])
  if (enough) return process.execPath
  return fail(
    `no pinned Node for ${process.platform}-${process.arch}, and this is Node ${process.versions.node}`,
    `run it with Node ${NODE_LEAST.join('.')} or newer`
  )
}

const [entry, ...args] = process.argv.slice(2)
if (entry === undefined) fail('no script named', 'node scripts/bootstrap.mjs SCRIPT [ARGUMENTS]')
if (!isInstalled()) await install()
const env = { ...process.env, PATH: [bin, process.env.PATH].join(delimiter) }
process.exitCode = await run(nodeToUse(), ['--conditions=cairn-src', join(root, entry), ...args], {
  stdio: 'inherit',
  env,
  cwd: process.cwd()
})
