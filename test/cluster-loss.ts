/**
 * Five nodes, three copies: any two killed at once lose nothing, and nobody who reads notices. What has two
 * copies only may be lost with them: exactly what `cairn whatif` had said.
 */
// limit: 360 s
// beside others
import { randomBytes } from 'node:crypto'
import { dirname } from 'node:path'
import { CairnError } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { expectCopies, makeTree, putTree, readAll, treeOf } from './support/data.ts'
import { eventually } from './support/eventually.ts'
import {
  cairn,
  clientOf,
  healed,
  kill,
  lastJson,
  met,
  type Node,
  signal,
  stop,
  withNodes
} from './support/nodes.ts'
import { overAndOver } from './support/rounds.ts'

/** For two nodes' blocks to be copied again: a few seconds on an idle machine. */
const REPAIR_MS = 120_000
const MEBIBYTES = 24
const SMALL_FILES = 300

/** Of two copies each: the two killed have both of one in ten. */
const FRAIL_FILES = 60
const MIRRORED_FILES = 60

const loss = suite('loss')

/** Half of them while a node is stopped, so that another has a copy besides: that one is no holder's. */
async function putFrail(nodes: readonly Node[], stopped: Node): Promise<CID[]> {
  const client = clientOf(nodes.filter((node) => node !== stopped))
  const put = (i: number) => client.put(randomBytes(1_000), { name: `frail-${i}`, replicas: 2, digests: [] })
  const some = async (from: number, count: number) =>
    (await Promise.all(Array.from({ length: count }, (_, i) => put(from + i)))).map(({ cid }) => cid)
  const first = await some(0, FRAIL_FILES / 2)
  signal([stopped], 'SIGSTOP')
  try {
    return [...first, ...(await some(first.length, FRAIL_FILES / 2))]
  } finally {
    signal([stopped], 'SIGCONT')
  }
}

/** Two copies of each of its blocks too, and a third on the mirror: whoever is lost besides, it is not. */
async function mirrored(folder: string, nodes: readonly Node[], mirror: Node): Promise<CID> {
  const path = await makeTree(`${folder}/mirrored`, { mebibytes: 1, small: MIRRORED_FILES })
  const name = ['--name', 'mirrored', '--replicas', '2']
  const put = await cairn(['put', path, ...name, '--json', '--home', nodes[0]?.home as string])
  assert.is(put.exit, 0, put.stderr)
  const added = await cairn(['mirror', 'add', 'mirrored', '--lag', '1s', '--wait', '--home', mirror.home])
  assert.is(added.exit, 0, added.stderr)
  return (await treeOf(path)).root
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
  const frail = await putFrail(nodes, victims[0] as Node)
  await met(nodes)
  const spare = await mirrored(dirname(path), nodes, nodes.find((node) => !victims.includes(node)) as Node)
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
  assert.ok((await readAll(clientOf(survivors), spare)) > 0, 'what a mirror has is there')
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
