// limit: 180 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { auditHonest, auditLiar } from '../src/index.ts'

/** Rounds of audits among honest members; `CAIRN_AUDITS=100000` for all that is promised. */
const ROUNDS = Number(process.env.CAIRN_AUDITS ?? 1_000)
const ROUNDS_PER_SEED = 500
const SEEDS = Array.from({ length: Number(process.env.CAIRN_LIARS ?? 5) }, (_, i) => i + 1)

const liars = suite('liars')

liars('no honest member is accused, however slow its disk and lossy its network', () => {
  let [rounds, proven, seed] = [0, 0, 0]
  while (rounds < ROUNDS) {
    const run = auditHonest(++seed, ROUNDS_PER_SEED)
    assert.is(run.accused, 0, `seed ${seed}`)
    rounds += run.rounds
    proven += run.proven
  }
  assert.ok(proven > 5 * rounds, `${proven} ranges were proved in ${rounds} rounds: too few to show anything`)
})

for (const lie of ['wrong', 'asks'] as const) {
  const how = lie === 'wrong' ? 'answers anything' : 'asks others on the quiet'
  liars(`who dropped a tenth and ${how} is found within three cycles, and its blocks are repaired`, () => {
    for (const seed of SEEDS) {
      const { found, falsely, repairedMs } = auditLiar(seed, lie)
      assert.ok(found, `seed ${seed}: not found`)
      assert.is(falsely, 0, `seed ${seed}: others were accused`)
      assert.ok(repairedMs !== undefined, `seed ${seed}: not repaired`)
    }
  })
}

liars.run()
