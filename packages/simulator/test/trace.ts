import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { play, readTrace, traceScenario } from '../src/index.ts'

const TRACE = 'seconds,node,event\n# a week, made short\n60,2,down\n30,5,join\n90,2,up\n120,3,lost\n'
const OPTIONS = { seed: 1, replicas: 3, nodes: 5, minutes: 4 }

const trace = suite('trace')

trace('lines become steps in the order of time, comments and a heading pass', () => {
  const steps = readTrace(TRACE)
  assert.equal(
    steps.map(({ type }) => type),
    ['join', 'crash', 'start', 'replace-disk']
  )
})

trace('a line that is none is named', () => {
  for (const line of ['x,1,up', '1,-1,up', '1,1,sideways', '1,1', ',1,up', '1,,up', '1,1,constructor']) {
    try {
      readTrace(`1,1,up\n${line}\n`)
      assert.unreachable(line)
    } catch (error) {
      assert.ok(CairnError.is(error, 'BAD_REQUEST') && error.message.includes('line 2'), line)
    }
  }
})

trace('all that was put outlives a churn that leaves it time', () => {
  const scenario = traceScenario(readTrace(TRACE), OPTIONS)
  assert.is(scenario.nodes, 6)
  assert.equal(scenario.outside, [5])
  const { broken, acknowledged, lost, repaired } = play(scenario)
  assert.is(broken, undefined)
  assert.is(acknowledged, 200)
  assert.is(lost, 0)
  assert.ok(repaired > 50, `${repaired} copies made`)
})

trace('a churn that takes all copies at once loses them, and says so', () => {
  const all = Array.from({ length: 5 }, (_, node) => `60,${node},lost`).join('\n')
  const { lost } = play(traceScenario(readTrace(all), OPTIONS))
  assert.is(lost, 200)
})

trace.run()
