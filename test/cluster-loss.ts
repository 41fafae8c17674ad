/**
 * Five nodes, three copies: any two killed at once lose nothing, and nobody who reads notices. What has two
 * copies only may be lost with them: exactly what `cairn whatif` had said.
 */
// limit: 360 s
// beside others
import { randomBytes } from 'node:crypto'
import { CairnError } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { expectCopies, makeTree, putTree, readAll, treeOf } from './support/data.ts'
import { eventually } from './support/eventually.ts'
import { cairn, clientOf, healed, kill, lastJson, met, type Node, stop, withNodes } from './support/nodes.ts'
import { overAndOver } from './support/rounds.ts'

/** For two nodes' blocks to be copied again: a few seconds on an idle machine. */
const REPAIR_MS = 120_000
const MEBIBYTES = 24
const SMALL_FILES = 300

/** Of two copies each: the two killed have both of one in ten. */
const FRAIL_FILES = 60

const loss = suite('loss')

async function putFrail(nodes: readonly Node[]): Promise<CID[]> {
  const client = clientOf(nodes)
  const put = (i: number) => client.put(randomBytes(1_000), { name: `frail-${i}`, replicas: 2, digests: [] })
  const all = await Promise.all(Array.from({ length: FRAIL_FILES }, (_, i) => put(i)))
  return all.map(({ cid }) => cid)
}

/** What the command says would be lost with them, by CID; once sums have all that was put a moment ago. */
function supposed(nodes: readonly Node[], victims: readonly Node[]): Promise<Set<string>> {
  const lose = victims.map(({ id }) => `node:${id}`).join()
  const urls = nodes.flatMap(({ url }) => ['--node', url])
  return eventually('as much would be lost in all as by root', REPAIR_MS, async (tell) => {
    const { stdout, exit } = await cairn(['whatif', '--lose', lose, '--json', ...urls])
    const { network, affected } = lastJson(stdout) as unknown as {
      network: { byCopies: number[] }
      affected: { root: string; verdict: string; lost: string[]; blocks: number; byCopies: number[] }[]
    }
    const lost = affected.filter(({ verdict }) => verdict === 'lost')
    tell(`${network.byCopies[0]} in all, and ${lost.length} by root`)
    if (network.byCopies[0] !== lost.length) return undefined
    assert.is(exit, lost.length > 0 ? 7 : 6, 'the tree would have fewer copies in any case')
    for (const { root, lost: none, byCopies } of lost) assert.equal([none, byCopies[0]], [[root], 1])
    return new Set(lost.map(({ root }) => root))
  })
}

async function unreadable(nodes: readonly Node[], cids: readonly CID[]): Promise<Set<string>> {
  const client = clientOf(nodes)
  const gone = await Promise.all(
    cids.map(async (cid) => {
      const code = await client.getBlock(cid).then(
        () => '',
        (error: unknown) => (CairnError.is(error) ? error.code : String(error))
      )
      assert.ok(code === '' || code === 'NO_PROVIDER', code)
      return code === '' ? [] : [cid.toString()]
    })
  )
  return new Set(gone.flat())
}

async function loseTwo(nodes: readonly Node[], pair: readonly number[], path: string): Promise<Node[]> {
  const tree = await treeOf(path)
  const put = await putTree(clientOf(nodes), path)
  assert.is(put.cid.toString(), tree.root.toString())
  assert.is(put.replicas, 3, 'receipts of three members for every block')
  const victims = pair.map((k) => nodes[k] as Node)
  const frail = await putFrail(nodes)
  await healed(nodes, REPAIR_MS) // what was put a moment ago is not yet in everyone's sum
  const toBeLost = await supposed(nodes, victims)
  const survivors = nodes.filter((node) => !victims.includes(node))
  const reading = overAndOver(async () => {
    assert.is(await readAll(clientOf(survivors), tree.root), put.size)
  })
  await kill(victims)
  const killedMs = performance.now()
  await met(survivors)
  const detectedS = (performance.now() - killedMs) / 1_000
  await healed(survivors, REPAIR_MS)
  const healedS = (performance.now() - killedMs) / 1_000
  const lost = await unreadable(survivors, frail)
  assert.equal([...lost].sort(), [...toBeLost].sort(), 'what was said would be lost, and nothing else')
  const { done, errors } = await reading.end()
  assert.equal(errors, [], 'reads through the others while two are gone')
  assert.ok(done > 0, 'it was read at least once')
  console.log(
    `n${pair.map((k) => k + 1).join(' and n')} killed: known to all others after ` +
      `${detectedS.toFixed(1)} s, healed after ${healedS.toFixed(1)} s; read ${done} times meanwhile; ` +
      `${lost.size} of ${FRAIL_FILES} files with two copies lost, as foretold`
  )
  await stop(survivors)
  await expectCopies(
    survivors.map(({ home }) => home),
    tree.keys,
    3
  )
  return survivors
}

loss(
  'two of five killed at once: reads go on, and all is on three again, as the disks show',
  withNodes(async ({ folder, network }) => {
    const path = await makeTree(`${folder}/tree`, { mebibytes: MEBIBYTES, small: SMALL_FILES })
    const nodes = await network(5, { flags: ['--repair-delay', '1s'] })
    await loseTwo(nodes, [1, 3], path)
  })
)

loss.run()
