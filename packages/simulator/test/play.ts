// limit: 240 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { drawScenario, play } from '../src/index.ts'
import { seedsOr } from './support/seeds.ts'

/** Seeds of a run; `CAIRN_SEEDS=1000` for more, `CAIRN_SEEDS=17-17` for one. `npm run simulate` has more. */
const [FIRST, LAST] = seedsOr(24)
const SIZE = { nodes: 8, minutes: 3 }

const playing = suite('scenarios')

playing(`every promise is kept through all faults, seeds ${FIRST} to ${LAST}`, () => {
  const broken: string[] = []
  for (let seed = FIRST; seed <= LAST; seed++) {
    const outcome = play(drawScenario({ seed, ...SIZE }))
    assert.ok(outcome.messages > 0)
    if (outcome.broken === undefined) continue
    const command = `npm run simulate -- --first-seed ${seed} --seeds 1 --nodes ${SIZE.nodes} --minutes 3`
    broken.push(`seed ${seed}: ${outcome.broken}\nreplay: ${command}\n${outcome.log.join('\n')}`)
  }
  assert.is(broken.length, 0, `${broken.length} seeds break:\n${broken.slice(0, 5).join('\n\n')}`)
})

playing('the same seed gives the same run, another seed another', () => {
  const [one, again, other] = [FIRST, FIRST, FIRST + 1].map((seed) => play(drawScenario({ seed, ...SIZE })))
  assert.is(one?.hash, again?.hash)
  assert.equal(one?.log, again?.log)
  assert.is.not(one?.hash, other?.hash)
})

playing('a minority cut off one way for good keeps nobody from healing', () => {
  for (const how of ['deaf', 'mute'] as const) {
    const scenario = { ...drawScenario({ seed: 4, ...SIZE }), cutOff: { nodes: [6, 7], how } }
    assert.is(play(scenario).broken, undefined, how)
  }
})

playing.run()
