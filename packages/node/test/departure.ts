// limit: 180 s
import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { blocksOf, eventually, onDisk, openNodes, uploadOn } from './support/nodes.ts'
import { codeOf, until } from './support/peers.ts'
import { scoped } from './support/scope.ts'

const departure = suite('leave')

departure(
  'hands everything over, counts down to nothing, and is known to have left',
  scoped(async (use) => {
    const net = use(await openNodes(4))
    const blocks = blocksOf(30)
    await uploadOn(net.at(0)).put(blocks)
    const left: number[] = []
    await net.at(3).leave({ onProgress: ({ blocks }) => left.push(blocks) })
    assert.equal(await net.at(3).closed, { error: undefined })
    assert.is(left.at(-1), 0)
    await until(
      () =>
        net
          .at(0)
          .peers()
          .find(({ id }) => id === net.at(3).id)?.state === 'left',
      'it has left'
    )
    await net.stopAll()
    for (const i of [0, 1, 2]) {
      assert.ok(
        (await onDisk(net.home(i), blocks)).every((stat) => stat !== undefined),
        `three are left, so ${i} has all`
      )
    }
  })
)

departure(
  'forced, it goes with nothing handed over, and the others make up for it',
  scoped(async (use) => {
    const net = use(await openNodes(4))
    const blocks = blocksOf(30)
    await uploadOn(net.at(0)).put(blocks)
    const given = net
      .at(3)
      .leave({ force: true, onProgress: () => assert.unreachable('it waits for nobody') })
    await given
    assert.equal(await net.at(3).closed, { error: undefined })
    let told = ''
    const whole = async () => {
      const { verdict, byCopies, reason } = await net.at(0).status()
      told = `${verdict}, ${byCopies}: ${reason}`
      const left = net
        .at(0)
        .peers()
        .some(({ state }) => state === 'left')
      return left && verdict === 'healthy' && byCopies[3] === 30
    }
    await eventually(whole, () => told)
    await net.stopAll()
    for (const i of [0, 1, 2]) {
      assert.ok(
        (await onDisk(net.home(i), blocks)).every((stat) => stat !== undefined),
        `${i} has all`
      )
    }
  })
)

departure(
  'alone it is free to go',
  scoped(async (use) => {
    const net = use(await openNodes(1))
    await uploadOn(net.at(0)).put(blocksOf(3))
    await net.at(0).leave()
    assert.equal(await net.at(0).closed, { error: undefined })
  })
)

departure(
  'gives up when nobody takes anything, or when told to, and goes on as a member that leaves',
  scoped(async (use) => {
    const full = 40 * 1024 * 1024
    const net = use(await openNodes(1, { create: { open: false, replicas: 1 }, capacity: full }))
    await net.add()
    await net.gathered()
    const blocks = blocksOf(60, 1_000_000)
    for (const block of blocks)
      await uploadOn(net.at(1))
        .put([block])
        .catch(() => undefined)
    await eventually(async () => net.at(1).peers()[0]?.full !== undefined, 'known')
    const stalled = net.at(1).leave({ stallMs: 3_000 })
    const error = await stalled.catch((cause: unknown) => cause)
    assert.ok(CairnError.is(error, 'TOO_FEW_REPLICAS'), String(error))
    assert.match(error.message, /last \d+ blocks/)
    const abort = new AbortController()
    const given = codeOf(net.at(1).leave({ signal: abort.signal }))
    abort.abort(new CairnError('TIMEOUT', 'enough'))
    assert.is(await given, 'TIMEOUT')
    assert.is(
      net
        .at(1)
        .peers()
        .find(({ self }) => self)?.state,
      'leaving'
    )
    const stopped = codeOf(net.at(1).leave())
    await net.at(1).stop()
    assert.is(await stopped, 'UNREACHABLE', 'a stop ends the wait')
    await net.restart(1)
    await net.gathered()
  })
)

departure.run()
