// limit: 120 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { newNetwork } from '../src/network.ts'
import { codeOf, keyOf, openPair, openPeer, until } from './support/peers.ts'
import { scoped } from './support/scope.ts'

const NOBODY = '12D3KooWJzDj6Ly5pmdqNWD3XhGmXZ8nDqZoVfu8KhVFfNSDfjTQ'

const key = keyOf(new Uint8Array(1))

const transport = suite('transport')

transport(
  'connected and disconnected come once a peer, however many connections it has',
  scoped(async (use) => {
    const { server, client } = use(await openPair())
    await server.transport.dial(client.transport.addresses()) // it is connected already
    await Promise.all([
      client.transport.sendBlocks(server.id, [{ key, proofs: [] }], { onAnswer: () => {} }),
      client.transport.fetchBlocks(server.id, [key], { onBlock: () => {} }),
      server.transport.fetchBlocks(client.id, [key], { onBlock: () => {} })
    ])
    client.transport.send(server.id, new Uint8Array(1))
    server.transport.send(client.id, new Uint8Array(1))
    await until(() => client.messages.length + server.messages.length === 2, 'frames pass both ways')
    assert.equal(client.log, [`connected ${server.id.slice(-4)}`])
    assert.equal(client.transport.connectedPeers(), [server.id])
    await server.transport.close()
    await until(() => client.log.length === 2, 'the loss is noticed')
    assert.equal(client.log, [`connected ${server.id.slice(-4)}`, `disconnected ${server.id.slice(-4)}`])
    assert.equal(client.transport.connectedPeers(), [])
    assert.equal(server.log, [`connected ${client.id.slice(-4)}`], 'closing oneself is no loss of others')
  })
)

transport(
  'a peer that was given up is dialled anew by the next frame',
  scoped(async (use) => {
    const { server, client } = use(await openPair())
    client.transport.disconnect(server.id)
    await until(() => client.log.length === 2, 'the connection ends')
    client.transport.send(server.id, new Uint8Array(1))
    await until(() => server.messages.length === 1, 'the frame arrives')
    assert.is(client.log.at(-1), `connected ${server.id.slice(-4)}`)
    client.transport.disconnect('nobody' as never)
  })
)

transport(
  'two that dial each other at once are connected once',
  scoped(async (use) => {
    const network = newNetwork({ open: false })
    const one = use(await openPeer(network))
    const two = use(await openPeer(network))
    await Promise.all([
      one.transport.dial(two.transport.addresses()),
      two.transport.dial(one.transport.addresses()),
      one.transport.dial(two.transport.addresses())
    ])
    one.transport.send(two.id, new Uint8Array(1))
    await until(() => two.messages.length === 1, 'a frame passes')
    assert.equal(one.log, [`connected ${two.id.slice(-4)}`])
    assert.equal(two.log, [`connected ${one.id.slice(-4)}`])
  })
)

transport(
  'a port in use and an address that is none are refused by name',
  scoped(async (use) => {
    const network = newNetwork({ open: true })
    const first = use(await openPeer(network))
    const taken = first.transport.addresses()[0]?.replace(/\/p2p.*/, '') as string
    assert.is(await codeOf(openPeer(network, { listen: [taken] })), 'PORT_IN_USE')
    assert.is(await codeOf(openPeer(network, { listen: ['/ip4/192.0.2.1/tcp/0'] })), 'BAD_CONFIG')
    assert.is(await codeOf(openPeer(network, { listen: ['localhost:80'] })), 'BAD_CONFIG')
  })
)

transport(
  'a dial that nobody answers, and one that another answers, say so',
  scoped(async (use) => {
    const network = newNetwork({ open: true })
    const one = use(await openPeer(network))
    const two = use(await openPeer(network))
    const [address] = two.transport.addresses() as [string]
    const reasonOf = async (...addresses: string[]): Promise<string> => {
      const cause = await one.transport.dial(addresses).catch((error) => error)
      assert.is(cause.code, 'UNREACHABLE')
      return cause.message
    }
    assert.match(await reasonOf(`/ip4/127.0.0.1/tcp/1/p2p/${NOBODY}`), 'nothing listens')
    assert.match(await reasonOf(address.replace(two.id, NOBODY)), 'another node answers')
    assert.match(await reasonOf(one.transport.addresses()[0] as string), 'this node itself')
    assert.match(await reasonOf('nonsense'), 'no address')
    const both = [`/ip4/127.0.0.1/tcp/1/p2p/${two.id}`, `/ip4/127.0.0.1/tcp/1/p2p/${NOBODY}`, address]
    assert.is(await one.transport.dial(both), two.id, 'one address that answers is enough')
  })
)

transport(
  'twenty nodes of one host join at once',
  scoped(async (use) => {
    const member = use(await openPeer(newNetwork({ open: true })))
    const joiners = await Promise.all(Array.from({ length: 20 }, async () => use(await openPeer({}))))
    await Promise.all(joiners.map((joiner) => joiner.transport.dial(member.transport.addresses())))
    await until(() => member.transport.connectedPeers().length === 20, 'all are connected')
  })
)

transport(
  'mDNS finds a member, and one of another network is left alone after its refusal',
  scoped(async (use) => {
    const network = newNetwork({ open: true })
    const member = use(await openPeer(network, { mdns: true }))
    const other = use(await openPeer(newNetwork({ open: true }), { mdns: true }))
    const joiner = use(await openPeer({ id: network.id }, { mdns: true }))
    await until(() => joiner.found.includes(member.id) && joiner.found.includes(other.id), 'both are found')
    assert.is(await codeOf(joiner.transport.dial(other.transport.addresses())), 'WRONG_NETWORK')
    await joiner.transport.dial(member.transport.addresses())
    assert.is(await codeOf(joiner.transport.dial(other.transport.addresses(), other.id)), 'WRONG_NETWORK')
    assert.is(joiner.rejections.length, 1, 'the second dial was not even tried')
    joiner.found.length = 0
    await until(() => joiner.found.includes(member.id), 'the member is heard again')
    assert.not.ok(joiner.found.includes(other.id))
  })
)

transport.run()
