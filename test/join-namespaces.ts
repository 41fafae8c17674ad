/**
 * Two machines, as two network namespaces with a cable between: a member of one lets a node of the other
 * in by the one string, or by mDNS with none. Needs root and iproute2.
 */
// limit: 240 s
import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ROOT } from './structure/tree.ts'
import { eventually } from './support/eventually.ts'
import { cairn, lastJson, MEET_MS, type Node, type World, withNodes } from './support/nodes.ts'

const MAIN = join(ROOT, 'packages', 'cli', 'src', 'main.ts')
const FILE_BYTES = 3_000_000

interface Machines {
  a: string
  b: string
}

const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8', stdio: 'pipe' })

/** Two namespaces, 10.77.0.1 and 10.77.0.2. */
function connectMachines(): Machines {
  const tag = `cairn${process.pid}`
  const [a, b] = [`${tag}a`, `${tag}b`] as const
  for (const name of [a, b]) ip('netns', 'add', name)
  ip('-n', a, 'link', 'add', 'cable', 'type', 'veth', 'peer', 'name', 'cable', 'netns', b)
  for (const [name, address] of [
    [a, '10.77.0.1/24'],
    [b, '10.77.0.2/24']
  ] as const) {
    ip('-n', name, 'address', 'add', address, 'dev', 'cable')
    for (const device of ['lo', 'cable']) ip('-n', name, 'link', 'set', device, 'up')
    ip('-n', name, 'route', 'add', '224.0.0.0/4', 'dev', 'cable')
  }
  return { a, b }
}

function dropMachines({ a, b }: Machines): void {
  for (const name of [a, b]) ip('netns', 'del', name)
}

function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  try {
    ip('netns', 'list')
    return undefined
  } catch {
    return 'network namespaces need the command `ip`'
  }
}

function onMachines(body: (machines: Machines, world: World) => Promise<void>): () => Promise<void> {
  return async () => {
    const missing = whyNot()
    if (missing !== undefined) return console.log(`SKIPPED: ${missing}`)
    const machines = connectMachines()
    try {
      await withNodes((world) => body(machines, world))()
    } finally {
      dropMachines(machines)
    }
  }
}

const at = (host: number) => ['--listen', `/ip4/10.77.0.${host}/tcp/0`]

/** A command on a node's own machine; its interface is on that machine's loopback. */
async function on(node: Node, ...args: string[]): Promise<string> {
  const { netns } = node.options
  const { exit, stdout, stderr } = await cairn(
    [...args, '--home', node.home],
    netns === undefined ? {} : { netns }
  )
  assert.is(exit, 0, `cairn ${args.join(' ')}: ${stderr}`)
  return stdout.trim()
}

async function aliveAt(netns: string, home: string, count: number): Promise<void> {
  await eventually(`the node of ${home} sees ${count} alive`, MEET_MS, async (tell) => {
    const { exit, stdout, stderr } = await cairn(['status', '--json', '--home', home], { netns })
    tell(stdout + stderr)
    return exit === 0 && lastJson(stdout).alive === count ? true : undefined
  })
}

const machines = suite('two machines')

machines(
  'the invite lets the other machine in, and its address alone does not',
  onMachines(async ({ a, b }, world) => {
    const first = await world.start('first', { netns: a, flags: at(1) })
    const invite = await on(first, 'invite')
    assert.match(invite, '/ip4/10.77.0.1/tcp/')
    const outside = join(world.folder, 'outside')
    const address = invite.slice(0, invite.indexOf('/cairn/'))
    const refused = await cairn(['start', '--home', outside, '--json', '--port', '0', ...at(2)], {
      netns: b,
      env: { CAIRN_JOIN: address }
    })
    assert.is(refused.exit, 8)
    assert.match(refused.stdout + refused.stderr, 'WRONG_SECRET')

    const second = await world.start('second', { netns: b, flags: at(2), join: invite })
    for (const [netns, { home }] of [
      [a, first],
      [b, second]
    ] as const)
      await aliveAt(netns, home, 2)
    const file = join(world.folder, 'file')
    const bytes = randomBytes(FILE_BYTES)
    await writeFile(file, bytes)
    const put = await cairn(['put', file, '-Q', '--home', first.home], { netns: a })
    assert.is(put.exit, 6, `two of three replicas: ${put.stderr}`)
    const copy = join(world.folder, 'copy')
    await on(second, 'get', put.stdout.trim(), '-o', copy)
    execFileSync('cmp', [file, copy])
  })
)

machines(
  'mDNS lets the other machine into an open network with no address at all',
  onMachines(async ({ a, b }, world) => {
    const first = await world.start('first', { netns: a, flags: ['--open', '--mdns', ...at(1)] })
    const home = join(world.folder, 'second')
    const args = ['join', '--home', home, '--port', '0', '--while-pid', String(process.pid), ...at(2)]
    const second = spawn(
      'ip',
      ['netns', 'exec', b, process.execPath, '--conditions=cairn-src', MAIN, ...args],
      {
        stdio: 'ignore'
      }
    )
    const gone = once(second, 'exit')
    try {
      await aliveAt(a, first.home, 2)
      await aliveAt(b, home, 2)
    } finally {
      second.kill('SIGKILL')
      await gone
    }
  })
)

machines.run()
