import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Pace } from '../src/pace.ts'

const pace = suite('Pace')

pace('without a limit nobody waits', async () => {
  await new Pace(() => Number.POSITIVE_INFINITY).spend(1e12)
})

pace('who spends waits until it is earned', async () => {
  const startMs = performance.now()
  await new Pace(() => 1_000_000).spend(50_000)
  assert.ok(performance.now() - startMs >= 45, 'a twentieth of a second of budget takes that long')
})

pace('stop ends every wait, and those to come', async () => {
  const slow = new Pace(() => 1)
  const waiting = [slow.spend(1e9), slow.wait(1e6)]
  slow.stop()
  await Promise.all([...waiting, slow.spend(1e9), slow.wait(1e6)])
  assert.is(slow.stopped, true)
})

pace('wake ends the wait under way, and a budget that grew meanwhile counts', async () => {
  const idle = new Pace(() => 1)
  const waiting = idle.wait(1e6)
  idle.wake()
  await waiting
  let rate = 1
  const growing = new Pace(() => rate)
  const spending = growing.spend(1e9)
  rate = Number.POSITIVE_INFINITY
  growing.wake()
  await spending
})

pace.run()
