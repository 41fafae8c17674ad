// limit: 240 s
import { once } from 'node:events'
import { cp, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { NodeOptions } from '../src/config.ts'
import { formatInvite, newNetwork, parseInvite } from '../src/network.ts'
import { createNode } from '../src/node.ts'
import { temporary } from './support/home.ts'
import { blocksOf, eventsOf, FAST, openNodes, uploadOn } from './support/nodes.ts'
import { codeOf, until } from './support/peers.ts'
import { scoped } from './support/scope.ts'

const node = suite('createNode')
const CAPACITY = 64 * 1024 * 1024

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function failure(options: NodeOptions): Promise<CairnError> {
  const error = await createNode(options).then(
    async (started) => {
      await started.stop()
      return new Error('it started')
    },
    (cause: unknown) => cause
  )
  assert.ok(CairnError.is(error), String(error))
  return error
}

node(
  'an empty home and no wish make a private network; a restart keeps identity, port, name and network',
  scoped(async (use) => {
    const { path: home } = use(await temporary())
    const first = await createNode({ home, name: 'shelf' })
    const { id, network } = first
    const addresses = first.addresses()
    assert.equal([network.open, network.replicas, first.name], [false, 3, 'shelf'])
    assert.ok(parseInvite(first.invite()).secret)
    assert.match(first.notes.join(), /capacity: \d+ bytes, half of what is free/)
    await first.stop()
    assert.equal(await first.closed, { error: undefined })
    const again = await createNode({ home, create: { open: true, replicas: 5 } })
    try {
      assert.equal([again.id, again.name, again.network], [id, 'shelf', network])
      assert.equal(again.addresses(), addresses)
      assert.match(again.notes.join(), 'has a network already')
      assert.not.match(again.notes.join(), 'capacity', 'it was decided before')
      assert.is(again.peers()[0]?.name, 'shelf')
    } finally {
      await again.stop()
    }
  })
)

node(
  'blocks come by the port that was asked for',
  scoped(async (use) => {
    const bulkPort = await freePort()
    const net = use(await openNodes(1, { bulkPort }))
    const socket = connect(bulkPort, '127.0.0.1')
    await once(socket, 'connect')
    socket.destroy()
    await net.stopAll()
  })
)

node(
  'what cannot work is refused by name, and is not kept',
  scoped(async (use) => {
    const { path: home } = use(await temporary())
    const bad: Partial<NodeOptions>[] = [
      { name: 'n'.repeat(60) },
      { zone: 'z'.repeat(60) },
      { capacity: 1_000 },
      { config: { probeIntervalMs: 10 } },
      { listen: ['/ip4/192.0.2.1/tcp/0'] }
    ]
    for (const options of bad) {
      const { code, message } = await failure({ home, capacity: CAPACITY, ...options })
      assert.is(code, 'BAD_CONFIG', `${JSON.stringify(options)}: ${message}`)
    }
    const started = await createNode({ home, capacity: CAPACITY })
    try {
      assert.is(await codeOf((async () => started.announceHttp('http://'.padEnd(500, 'x')))()), 'BAD_CONFIG')
      started.announceHttp('http://127.0.0.1:7401')
      await until(() => started.peers()[0]?.http === 'http://127.0.0.1:7401', 'it is announced')
    } finally {
      await started.stop()
    }
  })
)

node(
  'a first contact that fails says why, and gives the home and the port back',
  scoped(async (use) => {
    const net = use(await openNodes(1))
    const { path } = use(await temporary())
    const member = net.at(0)
    const [address] = member.addresses() as [string]
    const listen = [`/ip4/127.0.0.1/tcp/${await freePort()}`]
    const at = { home: join(path, 'n'), capacity: CAPACITY, listen, config: FAST }
    const { id } = member.network
    const secret = newNetwork({ open: false }).secret as string
    const wrongSecret = formatInvite([address], { id, open: false, replicas: 3, secret })
    assert.is((await failure({ ...at, join: wrongSecret })).code, 'WRONG_SECRET')
    const other = formatInvite([address], newNetwork({ open: false }))
    assert.is((await failure({ ...at, join: other })).code, 'WRONG_NETWORK')
    const plain = await failure({ ...at, join: address })
    assert.is(plain.code, 'WRONG_SECRET')
    assert.match(plain.hint ?? '', 'cairn invite')
    const dead = address.replace(/tcp\/\d+/, `tcp/${await freePort()}`)
    const nobody = await failure({ ...at, join: member.invite().replace(address, dead) })
    assert.is(nobody.code, 'UNREACHABLE')
    assert.ok(nobody.hint, 'it says what to do')
    const joined = await createNode({ ...at, join: member.invite() })
    try {
      assert.is(joined.network.id, id)
      assert.match(joined.addresses()[0] as string, listen[0] as string)
      assert.is((await failure(at)).code, 'LOCKED', 'now it is in use')
    } finally {
      await joined.stop()
    }
  })
)

node(
  'a stop in the middle of work ends it, closes everything once, and frees the home',
  scoped(async (use) => {
    const net = use(await openNodes(3))
    const told = eventsOf(net.at(0))
    const puts = blocksOf(24, 1_000_000).map((block) => codeOf(uploadOn(net.at(0)).put([block])))
    const status = codeOf(net.at(0).status())
    const stops = [net.at(0).stop(), net.at(0).stop()]
    assert.is(stops[0], stops[1])
    const outcomes = new Set(await Promise.all(puts))
    for (const outcome of outcomes) assert.ok(['UNREACHABLE', 'resolved'].includes(outcome), outcome)
    assert.ok(['UNREACHABLE', 'resolved'].includes(await status))
    await Promise.all(stops)
    assert.equal(await net.at(0).closed, { error: undefined })
    assert.is(await codeOf(net.at(0).status()), 'UNREACHABLE')
    assert.is(await codeOf(uploadOn(net.at(0)).put(blocksOf(1))), 'UNREACHABLE')
    assert.is(await codeOf(net.at(0).leave()), 'UNREACHABLE')
    assert.equal(
      told.filter((event) => event.type === 'log' && event.level === 'error'),
      []
    )
    await net.restart(0)
    await net.gathered()
  })
)

node(
  'a copy of a home is refused or hears nothing, and disturbs nobody',
  scoped(async (use) => {
    const net = use(await openNodes(3))
    const { path } = use(await temporary())
    const home = join(path, 'copy')
    const first = net.at(2)
    await cp(net.home(2), home, { recursive: true, filter: (one) => !/\/(store|lock-\d+)$/.test(one) })
    const at = { home, capacity: CAPACITY, config: FAST, join: net.at(0).invite() }
    assert.is((await failure(at)).code, 'PORT_IN_USE', 'on the same machine it finds its port in use')
    const copy = await createNode({ ...at, listen: ['/ip4/127.0.0.1/tcp/0'] })
    try {
      const told = eventsOf(copy)
      const warned = () => told.some((event) => event.type === 'log' && /copy of this home/.test(event.text))
      await until(warned, 'elsewhere it hears nothing, and says why')
      for (const node of net.nodes) {
        const addresses = node.peers().find(({ id }) => id === first.id)?.addresses
        assert.equal(addresses, first.addresses(), 'the others know the first as before')
        const alive = () => node.peers().filter(({ state }) => state === 'alive').length
        await until(() => alive() === 3, 'all three are there as before')
      }
    } finally {
      await copy.stop()
    }
  })
)

node(
  'the same home twice is refused, and a damaged list of members is no obstacle',
  scoped(async (use) => {
    const net = use(await openNodes(2))
    const locked = await failure({ home: net.home(1), capacity: CAPACITY })
    assert.is(locked.code, 'LOCKED')
    assert.match(locked.message, String(process.pid))
    await net.at(1).stop()
    await writeFile(join(net.home(1), 'members.json'), '{"version":1,"members":')
    const again = await net.restart(1)
    assert.match(again.notes.join(), 'known addresses were forgotten')
    await net.gathered()
  })
)

node.run()
