/** What a person does about a disk: reads it again under a running node, makes its index again under none. */
// limit: 180 s
// beside others
import { open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { walkPath } from '@cairn/blocks/fs'
import type { BlockKey } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { expectCopies, keysToHold, makeTree, putTree, treeOf } from './support/data.ts'
import { eventually } from './support/eventually.ts'
import {
  cairn,
  clientOf,
  type Ended,
  healed,
  lastJson,
  met,
  type Node,
  stop,
  withNodes
} from './support/nodes.ts'

/** For a few damaged blocks to be fetched again. */
const REPAIR_MS = 60_000
const HURT = 6

const scrub = suite('cairn scrub and cairn store rebuild')

/** Turns one bit of the block, on the disk of a node that runs. */
async function hurt({ home }: Node, key: BlockKey): Promise<void> {
  const directory = join(home, 'store')
  const cid = Buffer.from(`0155${key}`, 'hex')
  for (const name of (await readdir(directory)).filter((name) => name.endsWith('.car'))) {
    const at = (await readFile(join(directory, name))).indexOf(cid)
    if (at < 0) continue
    const file = await open(join(directory, name), 'r+')
    try {
      const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at + cid.length)
      await file.write(Uint8Array.of((buffer[0] as number) ^ 0x10), 0, 1, at + cid.length)
      await file.sync()
    } finally {
      await file.close()
    }
    return
  }
  throw new Error(`${key} is in no segment of ${home}`)
}

const errorOf = ({ stdout }: Ended): { code: string; hint: string } =>
  lastJson(stdout).error as { code: string; hint: string }

scrub(
  'bits that turned under a running node are found by one command, and the network heals them',
  withNodes(async (world) => {
    const nodes = await world.network(4, { flags: ['--repair-delay', '1s'] })
    const tree = await treeOf(await makeTree(`${world.folder}/tree`, { mebibytes: 6, small: 60 }))
    const { cid } = await putTree(clientOf(nodes), tree.path)
    await healed(nodes, REPAIR_MS)
    const proof = await cairn(['verify', '--remote', `${cid}`, '--json', '--home', nodes[0]?.home as string])
    const { byProofs, holders } = lastJson(proof.stdout) as {
      byProofs: number[]
      holders: { asked: number; proven: number }[]
    }
    assert.equal([proof.exit, byProofs.slice(0, 3)], [0, [0, 0, 0]], proof.stdout)
    assert.ok(holders.length === 4 && holders.every(({ asked, proven }) => asked > 0 && proven === asked))
    const victim = nodes[3] as Node
    const share = keysToHold(await clientOf(nodes).peers(), victim.id, { keys: tree.keys, n: 3 })
    const turned = share.filter((_, i) => i % Math.floor(share.length / HURT) === 0)
    for (const key of turned) await hurt(victim, key)

    const first = await cairn(['scrub', '--now', '--json', '--home', victim.home])
    const { v: _, ...result } = lastJson(first.stdout)
    const { blocks, damaged, refetched } = result as Record<string, number>
    assert.equal([first.exit, damaged, refetched], [0, turned.length, turned.length], first.stdout)
    assert.ok((blocks as number) >= share.length, 'all of the disk was read')
    const again = await cairn(['scrub', '--now', '--home', victim.home])
    assert.match(again.stdout, /blocks \(.*\) read, all of them good/)
    const status = await cairn(['status', '--home', victim.home])
    const since = `${turned.length} damaged copies found since the start`
    assert.match(status.stdout, new RegExp(`scrub +100 % read again in 7 days, all since .* ago; ${since}`))

    await healed(nodes, REPAIR_MS)
    const other = nodes[2] as Node
    const theirs = keysToHold(await clientOf(nodes).peers(), other.id, { keys: tree.keys, n: 3 })
    const more = theirs.slice(0, 2)
    for (const key of more) await hurt(other, key)
    const everywhere = await cairn(['scrub', '--network', '--json', '--home', victim.home])
    const {
      members,
      damaged: found,
      refetched: back
    } = lastJson(everywhere.stdout) as Record<string, unknown>
    assert.equal([everywhere.exit, found, back], [0, more.length, more.length], everywhere.stdout)
    const said = (members as { peer: string; state: string; damaged: number }[]).map((member) => {
      return [member.peer, member.state, member.damaged]
    })
    const expected = nodes.map(({ id }) => [id, 'done', id === other.id ? more.length : 0])
    assert.equal(said.sort(), expected.sort())
    const history = await eventually('both are noted', REPAIR_MS, async (tell) => {
      const { stdout } = await cairn(['scrub', '--home', other.home])
      tell(stdout)
      return /2 damaged copies found in all, 2 made good/.test(stdout) ? stdout : undefined
    })
    assert.is(history.match(/damaged, found .* ago, replaced after/g)?.length, 2)

    await stop(nodes)
    const idle = await cairn(['scrub', '--now', '--json', '--home', victim.home])
    assert.equal([idle.exit, errorOf(idle).code], [3, 'UNREACHABLE'], 'no node, no scrub')
    await expectCopies(
      nodes.map(({ home }) => home),
      tree.keys,
      3
    )
  })
)

scrub(
  'the index of a stopped node is made again, that of a running one is not touched',
  withNodes(async (world) => {
    const node = await world.start('n1')
    const path = await makeTree(`${world.folder}/tree`, { mebibytes: 3, small: 20 })
    const { cid } = await clientOf([node]).putDir(walkPath(path), { ack: 'one' })
    const { blocks } = (await clientOf([node]).status()).usage
    const busy = await cairn(['store', 'rebuild', '--json', '--home', node.home])
    assert.equal([busy.exit, errorOf(busy).code], [1, 'LOCKED'])
    assert.match(errorOf(busy).hint, 'cairn stop')
    await stop([node])
    const made = await cairn(['store', 'rebuild', '--json', '--home', node.home])
    assert.equal([made.exit, lastJson(made.stdout).blocks], [0, blocks], made.stdout)
    const nowhere = await cairn(['store', 'rebuild', '--json', '--home', world.folder])
    assert.equal([nowhere.exit, errorOf(nowhere).code], [4, 'NOT_FOUND'])
    const again = await world.restart(node)
    await met([again])
    for await (const entry of clientOf([again]).getTree(cid)) {
      if (entry.type === 'file') for await (const _ of entry.content);
    }
  })
)

scrub.run()
