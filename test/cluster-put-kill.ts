/** A node is killed while a put is under way: the put holds what it says, or says what it could not. */
// limit: 300 s
// beside others

import type { Put, PutResult } from '@cairn/client'
import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { expectCopies, makeTree, putTree, type Tree, treeOf } from './support/data.ts'
import { clientOf, healed, kill, met, type Node, stop, withNodes } from './support/nodes.ts'

const MEBIBYTES = 32
const SMALL_FILES = 100
/** Confirmed before the kill, so that it comes in the middle. */
const CONFIRMED_BYTES = 6 * 1024 * 1024
/** For what a killed node held to be copied again. A few seconds on an idle machine. */
const REPAIR_MS = 120_000

const puts = suite('put during a kill')

const homesOf = (nodes: readonly Node[]): string[] => nodes.map(({ home }) => home)

/** Kills once a part of the put is confirmed. False when the put was over before that. */
async function killDuring(put: Put, victims: readonly Node[]): Promise<boolean> {
  for await (const { bytes, replicas } of put.progress()) {
    if (bytes * Math.min(1, replicas) < CONFIRMED_BYTES) continue
    await kill(victims)
    return true
  }
  return false
}

async function outcomeOf(put: Put): Promise<PutResult | CairnError> {
  try {
    return await put
  } catch (error) {
    if (CairnError.is(error)) return error
    throw error
  }
}

/** The put's outcome must be true on the disks: of all nodes, the killed one's too, as it would restart. */
async function checkTruth(
  outcome: PutResult | CairnError,
  tree: Tree,
  nodes: readonly Node[]
): Promise<void> {
  if (outcome instanceof Error) {
    assert.is(outcome.code, 'TOO_FEW_REPLICAS', outcome.message)
    assert.match(outcome.message, /block/, 'it says which blocks are short')
    assert.ok(outcome.hint, 'it says what to do')
    return
  }
  assert.is(outcome.cid.toString(), tree.root.toString())
  if (outcome.replicas < outcome.wanted) assert.ok(outcome.short.length > 0, 'it names blocks that are short')
  await expectCopies(homesOf(nodes), tree.keys, outcome.replicas)
}

async function putAndKill(
  { folder, network }: { folder: string; network(n: number, options: object): Promise<Node[]> },
  { members, victim }: { members: number; victim: number }
): Promise<{ outcome: PutResult | CairnError; tree: Tree; nodes: Node[]; survivors: Node[] }> {
  const tree = await treeOf(await makeTree(`${folder}/tree`, { mebibytes: MEBIBYTES, small: SMALL_FILES }))
  const nodes = await network(members, { flags: ['--repair-delay', '1s'] })
  const victims = [nodes[victim] as Node]
  const survivors = nodes.filter((node) => !victims.includes(node))
  const put = putTree(clientOf(nodes), tree.path)
  assert.ok(await killDuring(put, victims), 'the kill came while the put was under way')
  const outcome = await outcomeOf(put)
  const shown =
    outcome instanceof Error ? outcome.message : `${outcome.replicas} of ${outcome.wanted} receipts`
  console.log(`of ${members}, n${victim + 1} was killed during a put: ${shown}`)
  await met(survivors)
  return { outcome, tree, nodes, survivors }
}

puts(
  'a holder dies: another stands in, and the put has three receipts, which are true',
  withNodes(async (world) => {
    const { outcome, tree, nodes, survivors } = await putAndKill(world, { members: 5, victim: 3 })
    assert.not.ok(outcome instanceof Error, String(outcome))
    await healed(survivors, REPAIR_MS)
    await stop(survivors)
    await checkTruth(outcome, tree, nodes)
    await expectCopies(homesOf(survivors), tree.keys, 3)
  })
)

puts(
  'the node that takes the put dies: the client goes on with the next',
  withNodes(async (world) => {
    const { outcome, tree, nodes, survivors } = await putAndKill(world, { members: 5, victim: 0 })
    assert.not.ok(outcome instanceof Error, String(outcome))
    await healed(survivors, REPAIR_MS)
    await stop(survivors)
    await checkTruth(outcome, tree, nodes)
    await expectCopies(homesOf(survivors), tree.keys, 3)
  })
)

puts(
  'nobody is left to stand in: it says so, block by block, and holds what it says',
  withNodes(async (world) => {
    const { outcome, tree, nodes, survivors } = await putAndKill(world, { members: 3, victim: 2 })
    if (!(outcome instanceof Error)) assert.ok(outcome.replicas < 3, 'three receipts of two members')
    await stop(survivors)
    await checkTruth(outcome, tree, nodes)
    if (!(outcome instanceof Error)) await expectCopies(homesOf(survivors), tree.keys, 2)
  })
)

puts.run()
