/** What a person meets who mistypes or meddles: what, a code, what to do, and an exit code. */
// limit: 360 s
// beside others
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { parseInvite } from '@cairn/node'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { cairn, clientOf, lastJson, stop, type World, withNodes } from './support/nodes.ts'

const errors = suite('errors')

interface Failure {
  code: string
  message: string
  hint?: string
  exit: number
}

/** Runs a command that must fail; what it tells a program. */
async function fails(args: readonly string[], env: Record<string, string> = {}): Promise<Failure> {
  const { exit, stdout, stderr } = await cairn([...args, '--json'], { env })
  const { v, error } = lastJson(stdout) as { v: number; error: Failure }
  assert.is(v, 1)
  assert.ok(error, `${args[0]} did not fail: ${stdout}`)
  assert.is(exit, error.exit, 'the exit code that it names')
  assert.ok(error.hint, `${error.code} says what to do`)
  assert.not.match(error.message + stderr, /\n {4}at /, 'no stack')
  return error
}

/** The same command for a person must end alike. */
async function tellsPerson(args: readonly string[], { code, exit, hint = '' }: Failure): Promise<void> {
  const person = await cairn(args)
  assert.is(person.exit, exit)
  assert.is(person.stdout, '', 'nothing on stdout but results')
  assert.match(person.stderr, /error: /)
  assert.match(person.stderr, code)
  assert.match(person.stderr, `try: ${hint.split('\n')[0]}`)
}

const INVITE_MARK = '/cairn/'
const INVITE_VERSION = 1

/** An invite as its format says: addresses, then in base64url a version, the network, the secret, a check. */
function inviteTo(
  address: string,
  { network, secret }: { network?: string | undefined; secret?: string | undefined },
  version: number
): string {
  const parts = [
    Buffer.of(version),
    Buffer.from(network ?? '', 'hex'),
    Buffer.from(secret ?? '', 'base64url')
  ]
  const body = Buffer.concat(parts)
  const check = createHash('sha256').update(body).digest().subarray(0, 4)
  return `${address}${INVITE_MARK}${Buffer.concat([body, check]).toString('base64url')}`
}

async function occupied(use: (port: number) => Promise<void>): Promise<void> {
  const server: Server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  try {
    await use(typeof address === 'object' ? (address?.port ?? 0) : 0)
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
}

const fresh = (world: World, name: string): string[] => ['--home', join(world.folder, name), '--port', '0']

errors(
  'an occupied port is told by its number, of the interface and of the members',
  withNodes(async (world) => {
    await occupied(async (port) => {
      const args = ['start', '--home', join(world.folder, 'a'), '--port', String(port)]
      const http = await fails(args)
      assert.is(http.code, 'PORT_IN_USE')
      assert.match(http.message, String(port))
      await tellsPerson(args, http)
      const members = await fails(['start', ...fresh(world, 'b'), '--listen', `127.0.0.1:${port}`])
      assert.is(members.code, 'PORT_IN_USE')
      assert.match(members.message, String(port))
    })
  })
)

errors(
  'a wrong address: nobody there, not an address, not a node',
  withNodes(async (world) => {
    const node = await world.start('n1', { flags: ['--open'] })
    const id = node.id
    let free = 0
    await occupied(async (port) => {
      free = port
    })
    const nobody = await fails(['join', ...fresh(world, 'a'), `/ip4/127.0.0.1/tcp/${free}/p2p/${id}`])
    assert.is(nobody.code, 'UNREACHABLE')
    assert.is(nobody.exit, 3)
    assert.match(nobody.message, String(free))
    const typo = await fails(['join', ...fresh(world, 'b'), 'not an address'])
    assert.is(typo.code, 'BAD_INVITE')
    assert.is(typo.exit, 2)
    await tellsPerson(['join', ...fresh(world, 'b'), 'not an address'], typo)
    const web = new URL(node.url).port
    const other = await fails(['join', ...fresh(world, 'c'), `/ip4/127.0.0.1/tcp/${web}/p2p/${id}`])
    assert.is(other.code, 'UNREACHABLE')
    const command = await fails(['status', '--node', `http://127.0.0.1:${free}`])
    assert.is(command.code, 'UNREACHABLE')
    assert.is(command.exit, 3)
    await tellsPerson(['status', '--node', `http://127.0.0.1:${free}`], command)
  })
)

errors(
  'a wrong secret, no secret, another network, another version, an invite that was mistyped',
  withNodes(async (world) => {
    const node = await world.start('n1')
    const other = await world.start('n2')
    const [address = ''] = node.addresses
    const invite = await clientOf([node]).invite()
    const { network, secret } = parseInvite(invite)
    const strange = parseInvite(await clientOf([other]).invite())
    const right = inviteTo(address, { network, secret }, INVITE_VERSION)
    assert.is(right, invite, 'the format of invites')

    const mistyped = invite.slice(0, -3) + (invite.at(-3) === 'A' ? 'B' : 'A') + invite.slice(-2)
    assert.is((await fails(['join', ...fresh(world, 'a'), mistyped])).code, 'BAD_INVITE')

    const wrongSecret = inviteTo(address, { network, secret: strange.secret }, INVITE_VERSION)
    const refused = await fails(['join', ...fresh(world, 'b'), wrongSecret])
    assert.is(refused.code, 'WRONG_SECRET')
    assert.is(refused.exit, 8)
    assert.is((await fails(['join', ...fresh(world, 'c'), address])).code, 'WRONG_SECRET', 'no secret at all')

    const elsewhere = await fails(['join', ...fresh(world, 'd'), inviteTo(address, strange, INVITE_VERSION)])
    assert.is(elsewhere.code, 'WRONG_NETWORK')
    assert.is(elsewhere.exit, 8)
    assert.match(elsewhere.message, network as string)
    assert.match(elsewhere.message, strange.network as string)

    await stop([other])
    const kept = await fails(['start', '--home', other.home, '--port', '0'], { CAIRN_JOIN: invite })
    assert.is(kept.code, 'WRONG_NETWORK', 'a home of one network, an invite to another')

    const newer = await fails(['join', ...fresh(world, 'e'), inviteTo(address, { network, secret }, 2)])
    assert.is(newer.code, 'WRONG_VERSION')
    assert.ok(node.alive(), 'nothing of this disturbed the node')
    assert.is((await clientOf([node]).status()).members, 1)
  })
)

errors(
  'a home that a newer cairn wrote, a token that is not the one, a block that nobody has',
  withNodes(async (world) => {
    const node = await world.start('n1')
    const at = ['--node', node.url]
    const put = await fails(['put', join(node.home, 'node.json'), ...at], { CAIRN_TOKEN: 'not-the-token' })
    assert.is(put.code, 'UNAUTHORIZED')
    assert.is(put.exit, 8)
    const absent = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy'
    const nobody = await fails(['get', absent, '-o', join(world.folder, 'x'), ...at])
    assert.ok(['NO_PROVIDER', 'NOT_FOUND'].includes(nobody.code), nobody.code)
    await stop([node])
    const path = join(node.home, 'node.json')
    const settings = JSON.parse(await readFile(path, 'utf8')) as object
    await writeFile(path, JSON.stringify({ ...settings, version: 99 }))
    const newer = await fails(['start', '--home', node.home, '--port', '0'])
    assert.is(newer.code, 'NEWER_VERSION')
    assert.match(newer.message, '99')
  })
)

errors.run()
