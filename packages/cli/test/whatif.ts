import { parseCid } from '@cairn/blocks'
import type { Affected, Safety, WhatIf } from '@cairn/client'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { drain, forcedExit, forcedText } from '../src/commands/leave.ts'
import { belowText } from '../src/commands/status.ts'
import { losses, whatIfText } from '../src/commands/whatif.ts'

const CID = 'bafkreicouv3sksjuzxb3rbb6rziy6duakk2aikegsmtqtz5rsuppjorxsa'
const SAFETY: Safety = {
  verdict: 'lost',
  reason: 'without iron-owl: 1 blocks would have no copy left, 2 fewer than 3',
  wanted: 3,
  blocks: 10,
  bytes: 10_000,
  byCopies: [1, 0, 2, 7],
  bytesByCopies: [1_000, 0, 2_000, 7_000],
  repairing: { blocks: 3, bytes: 3_000 }
}
const AFFECTED: Affected = {
  ...SAFETY,
  names: ['pin a\u001b', 'ref a'],
  root: parseCid(CID),
  lost: [parseCid(CID)],
  holders: []
}

const whatif = suite('whatif')

whatif('what is below N is told with its bytes, fewest copies first', () => {
  assert.is(belowText(SAFETY), '1 have 0 (1.0 kB), 2 have 2 (2.0 kB)')
  assert.is(belowText({ ...SAFETY, byCopies: [0, 0, 0, 9] }), '')
})

whatif('each pin and ref that would suffer is named, and what of it would be lost', () => {
  const told: WhatIf = { network: SAFETY, affected: [AFFECTED], roots: 4 }
  const text = whatIfText(told)
  for (const part of [
    SAFETY.reason,
    'of 10 blocks (10.0 kB)',
    'unreadable: pin a\\u{1b}, ref a',
    `no copy of ${CID}`
  ]) {
    assert.ok(text.includes(part), `${part} in ${text}`)
  }
  assert.match(whatIfText({ ...told, affected: [] }), 'none of 4 pins and refs')
  assert.match(whatIfText({ ...told, affected: new Array(25).fill(AFFECTED) }), 'and 5 more')
})

whatif('what is neither a node nor a zone is refused before anybody is asked', () => {
  assert.equal(losses('node:a,zone:x'), ['node:a', 'zone:x'])
  for (const wrong of ['', 'a', 'node:', 'node:a,b', 'rack:x'])
    assert.throws(() => losses(wrong), /neither a node/)
})

whatif('leaving tells what it would do unasked, and when it is over', () => {
  assert.match(forcedText('a', SAFETY), 'with nothing handed over: of 10 blocks, 1 have 0')
  assert.match(forcedText('a', { ...SAFETY, byCopies: [0, 0, 0, 10] }), '3 copies still')
  const exits = [[0, 0, 0, 5], [0, 0, 1, 4], [0, 1, 0, 4], [1, 0, 0, 4], []].map((byCopies) =>
    forcedExit({ ...SAFETY, byCopies })
  )
  assert.equal(exits, [0, 6, 6, 7, 0], 'forced, it exits as whatif would have')
  const { progress, eta } = drain()
  assert.is(eta(), '')
  progress({ blocks: 10, bytes: 1_000_000 }, 0)
  assert.is(eta(), '', 'nothing has gone yet')
  progress({ blocks: 7, bytes: 750_000 }, 2_000)
  assert.is(eta(), ', ETA 6.0 s')
})

whatif.run()
