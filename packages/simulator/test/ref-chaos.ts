// limit: 480 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  calmRefs,
  isBehind,
  lastWord,
  type RefBug,
  type RefChaos,
  runWriters,
  startRefChaos,
  wrongs
} from '../src/index.ts'
import { seedsOr } from './support/seeds.ts'

/** Seeds of a run; `CAIRN_SEEDS=200` for more, `CAIRN_SEEDS=17-17` for one. */
const [FIRST, LAST] = seedsOr(3)
const WRITERS = 4
const FAULTS_MS = 45_000
/** Seeds within which each planted bug must be found. */
const BUG_SEEDS = 60

function run(seed: number, bug?: RefBug, worst?: boolean): { chaos: RefChaos; found: string[] } {
  const chaos = startRefChaos(seed, bug, worst)
  runWriters(chaos, WRITERS, FAULTS_MS)
  calmRefs(chaos)
  const found = wrongs(chaos)
  const last = lastWord(chaos)
  if (last === undefined) found.push('after the calm no update is acknowledged')
  else {
    for (const { kind, hash } of chaos.ops) {
      if (hash !== undefined && !isBehind(chaos, hash, last)) found.push(`lost: a ${kind}`)
    }
  }
  return { chaos, found }
}

const checker = suite('histories of refs')

checker(
  `no acknowledged update is lost or reordered, none read is taken back, seeds ${FIRST} to ${LAST}`,
  () => {
    const failures: string[] = []
    const counts = new Map<string, number>()
    for (let seed = FIRST; seed <= LAST; seed++) {
      const { chaos, found } = run(seed)
      for (const { kind, result } of chaos.ops) {
        counts.set(`${kind} ${result}`, (counts.get(`${kind} ${result}`) ?? 0) + 1)
      }
      if (found.length === 0) continue
      const file = 'packages/simulator/test/ref-chaos.ts'
      const command = `CAIRN_SEEDS=${seed}-${seed} node --conditions=cairn-src ${file}`
      failures.push(
        `seed ${seed}: ${found.slice(0, 4).join('; ')}\nreplay: ${command}\n${chaos.log.join('\n')}`
      )
    }
    const all = [...counts.values()].reduce((sum, one) => sum + one, 0)
    console.log(`${all} operations: ${[...counts].map(([what, n]) => `${n} ${what}`).join(', ')}`)
    assert.is(failures.length, 0, `${failures.length} seeds fail:\n${failures.slice(0, 3).join('\n\n')}`)
  }
)

/** The first seed that shows each, and how many after it are tried: the schedule moves when the core does. */
const SHOWN: readonly [RefBug, number][] = [
  ['forgets-votes', 43],
  ['keeps-late', 24]
]

/** As above, in the worst case for it, which is played without the bug as well. */
const OLD_DISK_SEED = 6

for (const [bug, from] of SHOWN) {
  checker(`the checker finds a planted bug: ${bug}`, () => {
    for (let seed = from; seed < from + BUG_SEEDS; seed++) if (run(seed, bug).found.length > 0) return
    assert.unreachable(`not found within ${BUG_SEEDS} seeds`)
  })
}

checker('the checker finds a planted bug: old-disk-unnoticed', () => {
  for (let seed = OLD_DISK_SEED; seed < OLD_DISK_SEED + BUG_SEEDS; seed++) {
    const isShown = run(seed, 'old-disk-unnoticed', true).found.length > 0
    if (isShown && run(seed, undefined, true).found.length === 0) return
  }
  assert.unreachable(`not found within ${BUG_SEEDS} seeds`)
})

checker.run()
