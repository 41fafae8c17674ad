import type { PeerId } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  createMirrorTold,
  mirrorsOf,
  mirrorsTold,
  onMirrorMessage,
  TELL_MS,
  tellMirrors
} from '../src/mirror-told.ts'
import { createMirrors, onMirrorEvent } from '../src/mirrors.ts'
import { decodeMessage, encodeMessage } from '../src/wire.ts'
import { PHOTOS_ID as id, ids, keptMirror, record } from './support/refs.ts'

const told = suite('who mirrors what')
const whole = { record: record([]), blocks: 1, bytes: 1 }
const [a, b, c] = ids('a', 'b', 'c') as [PeerId, PeerId, PeerId]

function mirroring(isWhole: boolean) {
  const mirrors = createMirrors()
  const kept = keptMirror({ generation: 1, whole: isWhole ? whole : undefined })
  onMirrorEvent(mirrors, { type: 'mirror', id, kept }, 0)
  return mirrors
}

told('a mirror with a whole root tells those that carry its ref, again and again', () => {
  const state = createMirrorTold()
  assert.equal(
    tellMirrors(state, mirroring(false), () => [a], 0),
    []
  )
  const mirrors = mirroring(true)
  const sent = tellMirrors(state, mirrors, () => [a, b], 0)
  assert.equal(
    sent.map(({ to }) => to),
    [a, b]
  )
  assert.equal(decodeMessage(encodeMessage(sent[0]?.message as never)), sent[0]?.message)
  assert.equal(
    tellMirrors(state, mirrors, () => [a], TELL_MS - 1),
    []
  )
  assert.is(tellMirrors(state, mirrors, () => [a], TELL_MS).length, 1)
})

told('what was told is passed on with its age, and expires wherever it is known', () => {
  const [carrier, reader] = [createMirrorTold(), createMirrorTold()]
  onMirrorMessage(carrier, a, { type: 'mirror-here', refs: [id] }, 0)
  assert.equal(mirrorsOf(carrier, id, 0), [a])
  const [passed] = mirrorsTold(carrier, createMirrors(), { ref: id, self: b, to: c }, 20_000)
  assert.ok(passed?.message.type === 'mirror-there')
  assert.equal(passed.message.peers, [{ peer: a, agoMs: 20_000 }])
  assert.equal(decodeMessage(encodeMessage(passed.message)), passed.message)
  onMirrorMessage(reader, b, passed.message, 100_000)
  assert.equal(mirrorsOf(reader, id, 114_000), [a])
  assert.equal(mirrorsOf(reader, id, 115_000), [])
  assert.equal(mirrorsOf(carrier, id, 35_000), [])
  assert.equal(mirrorsTold(carrier, createMirrors(), { ref: id, self: b, to: c }, 35_000), [])
})

told('who asks is told of the member itself, and not of the asker', () => {
  const state = createMirrorTold()
  onMirrorMessage(state, c, { type: 'mirror-here', refs: [id] }, 0)
  const [sent] = mirrorsTold(state, mirroring(true), { ref: id, self: b, to: c }, 0)
  assert.ok(sent?.message.type === 'mirror-there')
  assert.equal(sent.message.peers, [{ peer: b, agoMs: 0 }])
})

told('a liar fills neither the members of one ref nor the refs without end', () => {
  const state = createMirrorTold()
  const peers = Array.from({ length: 32 }, (_, i) => ({ peer: `p${i}` as PeerId, agoMs: 0 }))
  onMirrorMessage(state, a, { type: 'mirror-there', id, peers }, 0)
  onMirrorMessage(state, b, { type: 'mirror-here', refs: [id] }, 0)
  assert.is(mirrorsOf(state, id, 0).length, 32)
  for (let n = 0; n < 5_000; n++) {
    onMirrorMessage(state, a, { type: 'mirror-here', refs: [n.toString(16).padStart(64, '0')] }, 0)
  }
  assert.is(state.byRef.size, 4_096)
})

told.run()
