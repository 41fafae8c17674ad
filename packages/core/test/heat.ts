import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { PeerId } from '../src/block.ts'
import {
  createHeat,
  HEAT_MS,
  HOT_BLOCKS,
  heatRead,
  heatTold,
  isWorthMirroring,
  onHeatMessage,
  tellHeat
} from '../src/heat.ts'
import { ids } from './support/refs.ts'

const heats = suite('heat')
const [a, b, c, d] = ids('a', 'b', 'c', 'd') as [PeerId, PeerId, PeerId, PeerId]
const ref = 'ab'.repeat(32)

heats('what is read is summed up, told to the carriers once in a while, and by them to who asks', () => {
  const [reader, carrier, willing] = [createHeat(), createHeat(), createHeat()]
  heatRead(reader, ref, HOT_BLOCKS, 0)
  heatRead(reader, ref, HOT_BLOCKS, 10)
  assert.equal(
    tellHeat(reader, a, () => [b], HEAT_MS - 1),
    []
  )
  const [told] = tellHeat(reader, a, () => [b], HEAT_MS)
  assert.equal(told?.message, { type: 'ref-heat', refs: [{ id: ref, blocks: 2 * HOT_BLOCKS }] })
  assert.equal(
    tellHeat(reader, a, () => [b], 2 * HEAT_MS),
    [],
    'nothing was read since'
  )
  onHeatMessage(carrier, a, (told as NonNullable<typeof told>).message, HEAT_MS)
  const [warm] = heatTold(carrier, { ref, to: c }, HEAT_MS)
  assert.equal(warm?.message, { type: 'ref-warm', id: ref, blocks: 2 * HOT_BLOCKS })
  onHeatMessage(willing, b, (warm as NonNullable<typeof warm>).message, HEAT_MS)
  const about = { ref, self: c, mirrors: [], isOne: false }
  assert.ok(isWorthMirroring(willing, about, HEAT_MS))
  assert.not.ok(isWorthMirroring(willing, about, HEAT_MS + 15_000), 'it expires')
  assert.equal(heatTold(carrier, { ref, to: c }, HEAT_MS + 15_000), [])
})

heats('the more is read the more mirrors are worth it, and all agree which are too many', () => {
  const heat = createHeat()
  const worth = (self: PeerId, isOne: boolean, mirrors = [a, b, c]) =>
    isWorthMirroring(heat, { ref, self, mirrors: mirrors.filter((peer) => peer !== self), isOne }, 0)
  onHeatMessage(heat, d, { type: 'ref-warm', id: ref, blocks: 2 * HOT_BLOCKS }, 0)
  assert.equal(
    [a, b, c].map((self) => worth(self, true)),
    [true, true, false]
  )
  assert.not.ok(worth(d, false))
  assert.ok(worth(d, false, [a]))
  onHeatMessage(heat, d, { type: 'ref-warm', id: ref, blocks: 4 * HOT_BLOCKS }, 0)
  assert.ok(worth(d, false))
})

heats('a carrier that knows less is outvoted by one that knows more, for as long as that counts', () => {
  const heat = createHeat()
  const about = { ref, self: c, mirrors: [], isOne: false }
  onHeatMessage(heat, a, { type: 'ref-warm', id: ref, blocks: HOT_BLOCKS }, 0)
  onHeatMessage(heat, b, { type: 'ref-warm', id: ref, blocks: 1 }, 5_000)
  assert.ok(isWorthMirroring(heat, about, 10_000))
  onHeatMessage(heat, b, { type: 'ref-warm', id: ref, blocks: 1 }, 15_000)
  assert.not.ok(isWorthMirroring(heat, about, 15_000))
})

heats('one reader alone is believed little, and a liar fills no memory', () => {
  const heat = createHeat()
  onHeatMessage(heat, a, { type: 'ref-heat', refs: [{ id: ref, blocks: 1e9 }] }, 0)
  const mirrors = ids('e', 'f', 'g', 'h')
  assert.not.ok(isWorthMirroring(heat, { ref, self: d, mirrors, isOne: false }, 0))
  for (let n = 0; n < 2_000; n++) {
    const id = n.toString(16).padStart(64, '0')
    onHeatMessage(heat, a, { type: 'ref-heat', refs: [{ id, blocks: 9 }] }, 0)
    onHeatMessage(heat, a, { type: 'ref-warm', id, blocks: 9 }, 0)
    onHeatMessage(heat, `p${n}` as PeerId, { type: 'ref-heat', refs: [{ id: ref, blocks: 1 }] }, 0)
    heatRead(heat, id, 1, 0)
  }
  assert.equal([heat.byRef.size, heat.warm.size, heat.own.size], [1_024, 1_024, 1_024])
  assert.is(heat.byRef.get(ref)?.size, 64)
})

heats.run()
