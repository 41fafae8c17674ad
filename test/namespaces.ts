/**
 * Across a network namespace: leaving for good, and who can't get in. Joining across two is in
 * `join-namespaces.ts`, being cut off and deaf in `detection.ts`.
 */
// limit: 240 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { eventually } from './support/eventually.ts'
import { joined, type Space, spaces, WHY_NO_SPACES } from './support/netns.ts'
import { cairn, clientOf, lastJson, MEET_MS, type Node, type World, withNodes } from './support/nodes.ts'

const namespaces = suite('namespaces')

/** A test that needs a namespace; elsewhere it says why it was skipped. */
function across(name: string, body: (world: World, space: Space) => Promise<void>): void {
  namespaces(
    name,
    withNodes(async (world) => {
      if (WHY_NO_SPACES !== undefined) return console.log(`SKIPPED: ${WHY_NO_SPACES}`)
      await spaces((space) => body(world, space))
    })
  )
}

/** Until the node here sees so many, in these states. */
async function sees(node: Node, states: readonly string[]): Promise<void> {
  await eventually(`${node.name} sees ${states.join(', ')}`, MEET_MS, async (tell) => {
    const seen = (await clientOf([node]).peers()).map(({ state }) => state).sort()
    tell(seen.join(', '))
    return seen.join() === [...states].sort().join() ? true : undefined
  })
}

across(
  'a private join by the invite, a file from there to here, and a graceful leave',
  async (world, space) => {
    const near = await world.start('near', { flags: ['--listen', `${space.outer}:0`] })
    const far = await joined(world, space, await clientOf([near]).invite())
    await sees(near, ['alive', 'alive'])
    const there = { netns: space.name, env: { CAIRN_HOME: far.home } }
    const put = await cairn(['put', '-', '--json'], { ...there, stdin: 'from the other side' })
    assert.is(put.exit, 6, put.stdout + put.stderr) // two of three, and it says so
    const { cid, replicas } = lastJson(put.stdout) as { cid: string; replicas: number }
    assert.is(replicas, 2)
    const cat = await cairn(['cat', cid], { env: { CAIRN_HOME: near.home } })
    assert.is(cat.stdout, 'from the other side')
    const left = await cairn(['leave', '--json'], there)
    assert.is(left.exit, 0, left.stdout + left.stderr)
    assert.is(await far.ended, 0)
    await sees(near, ['alive', 'left'])
  }
)

across('a node listens on loopback unless it is told otherwise', async (world, space) => {
  const near = await world.start('near', { flags: ['--open'] })
  for (const address of near.addresses) assert.match(address, /^\/ip4\/127\.0\.0\.1\//)
  const port = /\/tcp\/(\d+)/.exec(near.addresses[0] ?? '')?.[1]
  const outside = `/ip4/${space.outer}/tcp/${port}/p2p/${near.id}`
  const far = await cairn(['join', '--home', `${world.folder}/far`, '--port', '0', '--json', outside], {
    netns: space.name
  })
  const { error } = lastJson(far.stdout) as { error: { code: string } }
  assert.is(error.code, 'UNREACHABLE', far.stdout)
  assert.is(far.exit, 3)
  assert.is(new URL(near.url).hostname, '127.0.0.1')
  const web = await cairn(['status', '--node', `http://${space.outer}:${new URL(near.url).port}`, '--json'], {
    netns: space.name
  })
  assert.is(web.exit, 3, 'nor can its interface be reached')
  const here = await cairn(['status', '--node', near.url])
  assert.is(here.exit, 0, 'while from this machine it can')
})

namespaces.run()
