import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { damageText, resultText } from '../src/commands/scrub.ts'

const READ = { blocks: 10, bytes: 10_000 }
const scrub = suite('scrub')

scrub('a damaged copy that nothing need replace is told apart from one that is not back yet', () => {
  const text = (damaged: number, refetched: number, besides: number) =>
    resultText({ ...READ, damaged, refetched, besides })
  assert.match(text(0, 0, 0), 'all of them good')
  assert.match(text(2, 2, 0), '2 damaged copies put aside and replaced')
  assert.match(text(1, 0, 1), '0 replaced, 1 not needed: other members hold enough')
  assert.not.match(text(1, 0, 1), 'not yet')
  assert.match(text(3, 1, 1), '1 replaced, 1 not needed: other members hold enough; 1 not yet')
})

scrub('what became of each copy is told', () => {
  const cid = 'bafkreicouv3sksjuzxb3rbb6rziy6duakk2aikegsmtqtz5rsuppjorxsa' as never
  const one = (more: object) =>
    damageText({ found: 1, healed: 1, latest: [{ cid, foundMs: 0, ...more }] }, 9_000)
  assert.match(one({})[1] as string, 'not yet replaced')
  assert.match(one({ healedMs: 2_000 })[1] as string, 'replaced after')
  assert.match(
    one({ healedMs: 2_000, besides: true })[1] as string,
    'not needed here, other members hold enough'
  )
})

scrub.run()
