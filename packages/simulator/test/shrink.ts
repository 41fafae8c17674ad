import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { drawScenario, type Scenario, type Step, shrink } from '../src/index.ts'

const scenario = drawScenario({ seed: 1, nodes: 8, minutes: 3 })
const steps: Step[] = Array.from({ length: 100 }, (_, i) => ({ type: 'crash', node: i, atMs: i * 1_000 }))
const has = ({ steps }: Scenario, node: number) => steps.some((step) => 'node' in step && step.node === node)

const shrinking = suite('shrink')

shrinking('leaves just the steps that a failure needs, wherever they are', () => {
  for (const needed of [[3], [0, 99], [10, 11, 57]]) {
    const fails = (smaller: Scenario) => needed.every((node) => has(smaller, node))
    const short = shrink({ ...scenario, steps }, fails)
    assert.equal(
      short.steps.map((step) => ('node' in step ? step.node : -1)),
      needed
    )
    assert.ok(fails(short))
  }
})

shrinking('ends within its runs, with something that fails', () => {
  let runs = 0
  const fails = (smaller: Scenario) => {
    runs++
    return smaller.steps.length % 2 === 0
  }
  assert.ok(fails(shrink({ ...scenario, steps }, fails, 20)))
  assert.ok(runs <= 22, `${runs} runs`)
})

shrinking('nothing happens after the last step unless it must', () => {
  const late = { ...scenario, steps: steps.slice(0, 5), untilMs: 1_000_000 }
  assert.is(shrink(late, () => true).untilMs < 10_000, true)
  assert.is(shrink(late, ({ untilMs }) => untilMs === 1_000_000).untilMs, 1_000_000)
})

shrinking.run()
