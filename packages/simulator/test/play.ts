// limit: 240 s
import type { BlockKey } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { copiesOf, drawScenario, LAN, play } from '../src/index.ts'
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

playing('what was put and ended is gone in the end, and what another put keeps of it is not', () => {
  const drawn = drawScenario({ seed: 1, ...SIZE })
  const put = { type: 'put', node: 0, count: 6, size: 4_096, ack: 'all', replicas: drawn.replicas } as const
  const again = { type: 'put-again', node: 1, put: 1, ack: 'all', replicas: drawn.replicas } as const
  const steps = [
    { ...put, atMs: 20_000 },
    { ...put, atMs: 20_000 },
    { ...again, atMs: 30_000 },
    { type: 'end', node: 2, put: 0, atMs: 40_000 } as const,
    { type: 'end', node: 3, put: 1, atMs: 40_000 } as const
  ]
  const quiet = { steps, outside: [], skewed: [], cutOff: undefined, link: LAN, untilMs: 41_000 }
  const seen: string[][] = []
  const outcome = play({ ...drawn, ...quiet }, ({ cluster, puts }) => {
    const isThere = (key: BlockKey) => copiesOf(cluster, key).length > 0
    for (const { keys } of puts) seen.push(keys.filter(isThere))
  })
  assert.is(outcome.broken, undefined)
  assert.equal(
    seen.map((keys) => keys.length),
    [0, 6, 6]
  )
})

playing.run()
