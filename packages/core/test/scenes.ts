import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { coreStep } from '../src/core.ts'
import { mirrorScene, ownTally, refScene, viewOf } from '../src/scenes.ts'
import { hear, meet, newCore } from './support/core.ts'
import { peer } from './support/data.ts'

const scenes = suite('scenes')

scenes('who knows but an address waits to be met before it votes alone, and not for ever', () => {
  const one = newCore()
  assert.not.ok(refScene(one, 0).apart, 'alone on purpose')
  coreStep(one, { type: 'join', addresses: ['/ip4/10.0.0.9/tcp/4001'] }, 0)
  assert.ok(refScene(one, 0).apart)
  assert.ok(refScene(one, 29_999).apart)
  assert.not.ok(refScene(one, 30_000).apart)
  meet(one, 1)
  assert.not.ok(refScene(one, 0).apart, 'one was met')
})

scenes('audits see a member live until its death is told', () => {
  const one = newCore()
  assert.not.ok(viewOf(one, 0).lives(peer(1)), 'unknown')
  meet(one, 1)
  assert.ok(viewOf(one, 0).lives(peer(1)))
  hear(one, 2, { type: 'news', rumours: [{ type: 'dead', id: peer(1), incarnation: 0 }] })
  assert.not.ok(viewOf(one, 0).lives(peer(1)))
})

scenes('mirrors see no record of a ref that nobody told of, and a tally of nothing counts nothing', () => {
  const one = newCore()
  assert.is(mirrorScene(one, 0).bestOf('ab'.repeat(32)), undefined)
  assert.is(ownTally(one, 0).blocks, 0)
  coreStep(one, { type: 'summaries', summaries: [summary] }, 0)
  assert.is(ownTally(one, 0).blocks, 2)
})

const summary = { slot: 1, replicas: 3, fingerprint: 'ab'.repeat(16), blocks: 2, bytes: 20 }

scenes.run()
