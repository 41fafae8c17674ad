import { CairnError, type PeerId } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { CairnNode } from '../src/api.ts'
import { foundPeers, joinNetwork } from '../src/joining.ts'
import { formatInvite, newNetwork } from '../src/network.ts'
import { createNode } from '../src/node.ts'
import { temporary } from './support/home.ts'
import { FAST } from './support/nodes.ts'
import { codeOf, until } from './support/peers.ts'
import { scoped } from './support/scope.ts'

const joining = suite('joining')

const PEER = '12D3KooWJzDj6Ly5pmdqNWD3XhGmXZ8nDqZoVfu8KhVFfNSDfjTQ' as PeerId
const ADDRESS = `/ip4/127.0.0.1/tcp/4400/p2p/${PEER}`

joining('what is known before the first contact comes from the home, the invite, or both alike', () => {
  const network = newNetwork({ open: false })
  const invite = formatInvite([ADDRESS], network)
  const { id, secret } = network
  assert.equal(joinNetwork.credentials(undefined, undefined), { credentials: {}, addresses: [] })
  assert.equal(joinNetwork.credentials(undefined, ADDRESS), { credentials: {}, addresses: [ADDRESS] })
  assert.equal(joinNetwork.credentials(undefined, invite), {
    credentials: { id, secret },
    addresses: [ADDRESS]
  })
  assert.equal(joinNetwork.credentials(network, invite), { credentials: network, addresses: [ADDRESS] })
  const other = formatInvite([ADDRESS], newNetwork({ open: true }))
  assert.throws(
    () => joinNetwork.credentials(network, other),
    (error: unknown) => CairnError.is(error, 'WRONG_NETWORK')
  )
})

joining('of those found, one that will never let us in is not asked again, and the next is', async () => {
  const asked: (PeerId | undefined)[] = []
  const network = newNetwork({ open: true })
  const [never, later] = ['never', 'later'] as PeerId[] as [PeerId, PeerId]
  const found = foundPeers()
  found.add(never, ['/ip4/192.0.2.1/tcp/1'])
  found.add(later, ['/ip4/192.0.2.2/tcp/1'])
  const tries = () => asked.filter((one) => one === later).length
  const got = await joinNetwork.firstContact(
    {
      async dial(_addresses, peer) {
        asked.push(peer)
        if (peer === never) throw new CairnError('WRONG_SECRET', 'private')
        if (tries() < 3) throw new CairnError('BUSY', 'not yet')
        return later
      },
      network: () => (tries() < 3 ? undefined : network)
    },
    [],
    found
  )
  assert.is(got, network)
  assert.equal(asked, [never, later, later, later])
})

joining('an address that never lets us in is an error at once', async () => {
  const dial = async () => {
    throw new CairnError('WRONG_SECRET', 'private')
  }
  const contact = joinNetwork.firstContact({ dial, network: () => undefined }, [ADDRESS], foundPeers())
  assert.is(await codeOf(contact), 'WRONG_SECRET')
})

joining(
  'an open network is found without any address, and beside a private one',
  scoped(async (use) => {
    const { path } = use(await temporary())
    const at = { capacity: 64 * 1024 * 1024, config: FAST, mdns: true, listen: ['/ip4/0.0.0.0/tcp/0'] }
    const started: CairnNode[] = []
    try {
      started.push(await createNode({ ...at, home: `${path}/1`, create: { open: false } }))
      started.push(await createNode({ ...at, home: `${path}/2`, create: { open: true } }))
      started.push(await createNode({ ...at, home: `${path}/3` }))
      const [closed, open, found] = started as [CairnNode, CairnNode, CairnNode]
      assert.equal(found.network, open.network)
      await until(() => open.peers().length === 2, 'they know each other')
      assert.is(closed.peers().length, 1)
    } finally {
      for (const node of started) await node.stop()
    }
  })
)

joining.run()
