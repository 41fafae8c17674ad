import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { onScrubMessage, SCRUB_MESSAGES, type ScrubMessage } from '../src/scrubbing.ts'
import { decodeMessage, encodeMessage, isScrub } from '../src/wire.ts'
import { peer } from './support/data.ts'

const COUNTS = { blocks: 1, bytes: 2 ** 40, total: 2 ** 41, damaged: 3, refetched: 1, besides: 1 }
const ALL: ScrubMessage[] = [
  { type: 'ask-scrub', run: 'ab'.repeat(8) },
  { type: 'tell-scrub', run: 'ab'.repeat(8), state: 'running', ...COUNTS }
]

const scrubbing = suite('scrubbing')

scrubbing('each message is read as it was written, and handed on as it came', () => {
  assert.equal(ALL.map(({ type }) => type).sort(), Object.keys(SCRUB_MESSAGES).sort())
  for (const message of ALL) {
    const again = decodeMessage(encodeMessage(message))
    assert.ok(isScrub(again))
    assert.equal(again, message)
    assert.equal(onScrubMessage(peer(1), again), [{ type: 'scrub-message', from: peer(1), message }])
  }
})

scrubbing.run()
