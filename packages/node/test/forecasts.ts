import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { NodeEvent } from '../src/api.ts'
import { broadcast } from '../src/broadcast.ts'
import { forecastsOf } from '../src/forecasts.ts'
import { until } from './support/peers.ts'

const forecasts = suite('forecasts')

function watching(isSafe: () => Promise<boolean>) {
  const events = broadcast<NodeEvent>(() => ({ type: 'log', level: 'warn', text: 'dropped', atMs: 0 }))
  const told: NodeEvent[] = []
  const emit = events.emit
  events.emit = (event) => {
    told.push(event)
    emit(event)
  }
  return { told, forecasts: forecastsOf({ events }, isSafe) }
}

forecasts('the first that was said is compared with what it took, once', async () => {
  let looks = 0
  const { told, forecasts: all } = watching(async () => ++looks > 1)
  assert.is(all.last(), undefined)
  all.made(3_000, { blocks: 5, bytes: 500 })
  all.made(9_000, { blocks: 2, bytes: 200 })
  await until(() => told.length > 0, 'it is told', 20_000)
  const [event] = told
  assert.ok(event?.type === 'safe')
  assert.equal([event.saidSeconds, event.blocks, event.bytes], [3, 5, 500])
  assert.ok(event.tookSeconds > 1, `${event.tookSeconds} s for two looks, a second apart at the least`)
  assert.is(all.last()?.tookSeconds, event.tookSeconds)
  assert.is(looks, 2)
})

forecasts('a node that has stopped looks no more', async () => {
  let looks = 0
  const { told, forecasts: all } = watching(async () => {
    looks++
    throw new Error('stopped')
  })
  all.made(1_000, { blocks: 1, bytes: 1 })
  await until(() => looks === 1, 'it looked', 20_000)
  all.made(1_000, { blocks: 1, bytes: 1 })
  await until(() => looks === 2, 'another is watched for by itself', 20_000)
  assert.equal(told, [])
})

forecasts.run()
