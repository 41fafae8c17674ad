import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { CompareMessage } from '../src/compare.ts'
import { uncover } from '../src/reconcile.ts'
import { compareFor, keep, type Node, node } from './support/comparing.ts'
import { CONFIG, holdersOf, keyIn, peer } from './support/data.ts'

const first = (nodes: readonly Node[]) => nodes[0] as Node
const second = (nodes: readonly Node[]) => nodes[1] as Node

/** Two that hold the same blocks of 1,024 slots, but for some that only the first has. */
function two(lacking: readonly number[]): Node[] {
  const nodes = [node(0, holdersOf(2)), node(1, holdersOf(2))]
  const slots = Array.from({ length: 1_024 }, (_, i) => i * 64)
  keep(
    first(nodes),
    slots.map((slot) => ({ key: keyIn(slot) }))
  )
  keep(
    second(nodes),
    slots.filter((slot) => !lacking.includes(slot)).map((slot) => ({ key: keyIn(slot) }))
  )
  return nodes
}

const types = (messages: readonly CompareMessage[]) => messages.map(({ type }) => type)

const rounds = suite('rounds')

rounds('a difference costs some hundred bytes, whatever else there is', () => {
  const one = compareFor(two([1_600]), 3_000)
  const four = compareFor(two([1_600, 9_600, 30_400, 60_800]), 3_000)
  const each = (four.traffic.bytes - one.traffic.bytes) / 3
  assert.ok(each < 1_000, `${each} bytes for each more`)
  assert.ok(four.traffic.bytes < 12_000, `${four.traffic.bytes} bytes`)
})

rounds('while neither changes, what differs is told once', () => {
  const nodes = two([1_600])
  compareFor(nodes, 2_000, { fetch: false })
  const { traffic } = compareFor(nodes, 20_000, { fromMs: 2_000, fetch: false })
  const told = types(traffic.messages).filter((type) => type !== 'compare' && type !== 'agree')
  assert.equal([...new Set(told)].sort(), ['list', 'listing'], 'but asked for again')
  assert.ok(traffic.missing.length > 1)
})

rounds('what one loses of what was told, or the other gets, is told anew', () => {
  const nodes = two([1_600])
  compareFor(nodes, 2_000, { fetch: false })
  uncover(second(nodes).state, 0)
  assert.is(second(nodes).state.peers.get(peer(0))?.known, undefined)
  const { traffic } = compareFor(nodes, 8_000, { fromMs: 2_000, fetch: false })
  assert.ok(types(traffic.messages).includes('slots'))
  keep(first(nodes), [{ key: keyIn(20_000, 1) }])
  compareFor(nodes, 16_000, { fromMs: 10_000 })
  assert.is(second(nodes).store.size, first(nodes).store.size)
})

rounds('what is known of a member is asked anew after a while', () => {
  const nodes = two([1_600])
  compareFor(nodes, 2_000, { fetch: false })
  const { traffic } = compareFor(nodes, 60_000, { fromMs: 2_000, fetch: false })
  const told = traffic.messages.filter(({ type }) => type === 'slots').length
  assert.ok(told >= 2 && told <= 16, `${told} times`)
  assert.ok(CONFIG.compareIdleMs < 30_000)
})

rounds.run()
