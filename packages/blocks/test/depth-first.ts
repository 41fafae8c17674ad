import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { depthFirst, READ_AHEAD_BLOCKS } from '../src/depth-first.ts'

const walk = suite('depth-first')

/** A tree of numbers: below n come 10n + 1 … 10n + 3, four levels deep. */
const below = (n: number) => (n > 1_000 ? [] : [1, 2, 3].map((i) => 10 * n + i))

function inOrder(n: number): number[] {
  return [n, ...below(n).flatMap(inOrder)]
}

walk('items come depth first and in order, whatever order their answers come in', async () => {
  const seen: number[] = []
  const late = (n: number) => new Promise<number>((resolve) => setImmediate(resolve, n))
  const fetch = (n: number) => (n % 2 === 0 ? late(n) : Promise.resolve(n))
  for await (const { item } of depthFirst(1, { fetch, expand: below })) seen.push(item)
  assert.equal(seen, inOrder(1))
})

walk('no more is asked for ahead than allowed, with the consumer standing still', async () => {
  let asked = 0
  const fetch = async (n: number) => {
    asked++
    return n
  }
  const steps = depthFirst(0, {
    fetch,
    expand: (n) => (n === 0 ? Array.from({ length: 500 }, (_, i) => i + 1) : [])
  })
  await steps.next()
  assert.is(asked, 1 + READ_AHEAD_BLOCKS)
  await steps.return()
})

walk('an error comes in its turn, after what was before it', async () => {
  const seen: number[] = []
  const fetch = (n: number) => (n === 12 ? Promise.reject(new Error('gone')) : Promise.resolve(n))
  try {
    for await (const { item } of depthFirst(1, { fetch, expand: below })) seen.push(item)
    assert.unreachable('it ends with the error')
  } catch (error) {
    assert.is((error as Error).message, 'gone')
  }
  assert.equal(seen, [1, ...inOrder(11)])
})

walk('more links than may wait is a bad DAG, not a full memory', async () => {
  const expand = () => Array.from({ length: 300_000 }, (_, i) => i)
  try {
    for await (const _ of depthFirst(0, { fetch: async (n) => n, expand }));
    assert.unreachable('it is refused')
  } catch (error) {
    assert.is((error as { code?: string }).code, 'BAD_DAG')
  }
})

walk.run()
