// limit: 180 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type ClaimBug,
  calmRefs,
  checkHeld,
  garbage,
  keepLedger,
  lastWord,
  type RefLedger,
  runTo,
  runWriters,
  startRefChaos,
  unclaimed
} from '../src/index.ts'

/** Seeds of a run; `CAIRN_SEEDS=200` for more, `CAIRN_SEEDS=17-17` for one. */
const [FIRST, LAST] = range(process.env.CAIRN_SEEDS ?? '2')
const WRITERS = 3
const SLICE_MS = 1_500
const SLICES = 20
/** Seeds within which each planted bug must be found. */
const BUG_SEEDS = 20

function range(text: string): [number, number] {
  const [first, last] = text.split('-').map(Number)
  return last === undefined ? [1, first ?? 1] : [first ?? 1, last]
}

function run(seed: number, bug?: ClaimBug): { ledger: RefLedger; found: string[] } {
  const chaos = startRefChaos(seed)
  const ledger = keepLedger(chaos, bug)
  const found = new Set<string>()
  for (let slice = 0; slice < SLICES; slice++) {
    runWriters(chaos, WRITERS, SLICE_MS)
    for (const one of unclaimed(chaos, ledger)) found.add(one)
    if (found.size > 0 && bug !== undefined) return { ledger, found: [...found] }
  }
  calmRefs(chaos)
  lastWord(chaos)
  runTo(chaos.cluster, chaos.cluster.nowMs + 120_000)
  for (const one of unclaimed(chaos, ledger)) found.add(one)
  checkHeld(chaos, ledger)
  for (const one of garbage(chaos, ledger)) found.add(`${one} stays claimed`)
  return { ledger, found: [...found] }
}

const claims = suite('claims of refs under faults')

claims(`what is kept stays claimed, and nothing else in the end, seeds ${FIRST} to ${LAST}`, () => {
  let ended = 0
  for (let seed = FIRST; seed <= LAST; seed++) {
    const { ledger, found } = run(seed)
    ended += ledger.ended
    const file = 'packages/simulator/test/ref-claims.ts'
    const command = `CAIRN_SEEDS=${seed}-${seed} node --conditions=cairn-src ${file}`
    assert.equal(found.slice(0, 5), [], `seed ${seed}; replay: ${command}`)
  }
  console.log(`${ended} claims ended`)
  assert.ok(ended > 20 * (LAST - FIRST + 1), 'there was something to let go of')
})

const BUGS: readonly ClaimBug[] = ['ends-ahead', 'takes-old-for-claimed', 'ends-what-is-kept']

for (const bug of BUGS) {
  claims(`the checker finds a planted bug: ${bug}`, () => {
    for (let seed = 1; seed <= BUG_SEEDS; seed++) if (run(seed, bug).found.length > 0) return
    assert.unreachable(`not found within ${BUG_SEEDS} seeds`)
  })
}

claims.run()
