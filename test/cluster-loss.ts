/** Five nodes, three copies: any two killed at once lose nothing, and nobody who reads notices. */
// limit: 360 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { expectCopies, makeTree, putTree, readAll, treeOf } from './support/data.ts'
import { clientOf, healed, kill, met, type Node, stop, withNodes } from './support/nodes.ts'
import { overAndOver } from './support/rounds.ts'

/** For two nodes' blocks to be copied again: a few seconds on an idle machine. */
const REPAIR_MS = 120_000
const MEBIBYTES = 24
const SMALL_FILES = 300

const loss = suite('loss')

async function loseTwo(nodes: readonly Node[], pair: readonly number[], path: string): Promise<Node[]> {
  const tree = await treeOf(path)
  const put = await putTree(clientOf(nodes), path)
  assert.is(put.cid.toString(), tree.root.toString())
  assert.is(put.replicas, 3, 'receipts of three members for every block')
  const victims = pair.map((k) => nodes[k] as Node)
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
  const { done, errors } = await reading.end()
  assert.equal(errors, [], 'reads through the others while two are gone')
  assert.ok(done > 0, 'it was read at least once')
  console.log(
    `n${pair.map((k) => k + 1).join(' and n')} killed: known to all others after ` +
      `${detectedS.toFixed(1)} s, healed after ${healedS.toFixed(1)} s; read ${done} times meanwhile`
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
