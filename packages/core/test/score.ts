import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seeded } from '../src/random.ts'
import { costOf, draw, hashId, seedOf, WEIGHT_MAX, WEIGHT_QUANTUM_BYTES, weightOf } from '../src/score.ts'

const SAMPLES = 65_536
/** Exceeded by one in 10,000 uniform samples, 255 degrees of freedom. */
const CHI_SQUARE_255 = 347.7

const score = suite('score')

// Made by this function, checked against another implementation. Never change them: blocks would move.
const GOLDEN: readonly [id: string, costs: number[]][] = [
  ['', [14284857, 160182820, 156324725, 123662684]],
  ['a', [46380026, 199931749, 27117488, 31909254]],
  ['12D3KooWA', [84537182, 15015042, 25063453, 112514302]],
  ['12D3KooWB', [8554091, 31288404, 7716253, 3551082]],
  ['peer-1', [25607547, 278893198, 66134834, 10628249]]
]

for (const [id, costs] of GOLDEN) {
  score(`the costs of '${id}' are fixed for good`, () => {
    const { low, high } = hashId(id)
    const got = [0, 1, 4_096, 65_535].map((slot) => costOf(low, high, seedOf(slot)))
    assert.equal(got, costs)
  })
}

function chiSquare(draws: Iterable<number>, shift: number): number {
  const bins = new Array<number>(256).fill(0)
  let count = 0
  for (const bits of draws) {
    const bin = (bits >>> shift) & 255
    bins[bin] = (bins[bin] as number) + 1
    count++
  }
  return bins.reduce((sum, bin) => sum + (bin - count / 256) ** 2 / (count / 256), 0)
}

function* ofOneMember(id: string): Generator<number> {
  const { low, high } = hashId(id)
  for (let slot = 0; slot < SAMPLES; slot++) yield draw(low, high, seedOf(slot))
}

function* ofOneSlot(slot: number): Generator<number> {
  for (let i = 0; i < SAMPLES; i++) {
    const { low, high } = hashId(`peer-${i}`)
    yield draw(low, high, seedOf(slot))
  }
}

for (const shift of [0, 8, 16, 24]) {
  score(`what a member draws over all slots is uniform in bits ${shift} to ${shift + 7}`, () => {
    for (const id of ['peer-1', 'peer-2', '12D3KooWA', '12D3KooWB']) {
      assert.ok(chiSquare(ofOneMember(id), shift) < CHI_SQUARE_255, id)
    }
  })

  score(`what all members draw for a slot is uniform in bits ${shift} to ${shift + 7}`, () => {
    for (const slot of [0, 1, 2, 65_535]) {
      assert.ok(chiSquare(ofOneSlot(slot), shift) < CHI_SQUARE_255, `slot ${slot}`)
    }
  })
}

score('each bit of the slot and of the id flips each bit drawn half of the time', () => {
  const random = seeded(7)
  const word = () => Math.floor(random() * 2 ** 32) | 0
  const tries = 4_096
  for (let input = 0; input < 80; input++) {
    const flips = new Array<number>(32).fill(0)
    for (let i = 0; i < tries; i++) {
      const [slot, low, high] = [word() & 0xffff, word(), word()]
      const bit = 1 << (input % 32)
      const other =
        input < 32
          ? draw(low ^ bit, high, seedOf(slot))
          : input < 64
            ? draw(low, high ^ bit, seedOf(slot))
            : draw(low, high, seedOf(slot ^ bit))
      const changed = draw(low, high, seedOf(slot)) ^ other
      for (let out = 0; out < 32; out++) flips[out] = (flips[out] as number) + ((changed >>> out) & 1)
    }
    // 5 standard deviations of a fair coin: 0.5 / sqrt(4096) each
    for (const [out, count] of flips.entries()) {
      assert.ok(Math.abs(count / tries - 0.5) < 0.04, `bit ${input} in, ${out} out: ${count / tries}`)
    }
  }
})

score('ids of 100,000 members have as many hashes', () => {
  const seen = new Set<string>()
  for (let i = 0; i < 100_000; i++) {
    const { low, high } = hashId(`12D3KooW${i}`)
    seen.add(`${low},${high}`)
  }
  assert.is(seen.size, 100_000)
})

score('a weight is whole quanta of capacity, at least one, with a greatest', () => {
  assert.is(weightOf(0), 1)
  assert.is(weightOf(WEIGHT_QUANTUM_BYTES - 1), 1)
  assert.is(weightOf(2 * WEIGHT_QUANTUM_BYTES - 1), 1)
  assert.is(weightOf(2 * WEIGHT_QUANTUM_BYTES), 2)
  assert.is(weightOf(2 ** 40), 4_096)
  assert.is(weightOf(2 ** 60), WEIGHT_MAX)
  assert.throws(() => weightOf(-1), /capacity/)
  assert.throws(() => weightOf(Number.NaN), /capacity/)
})

score('the greatest cost times the greatest weight is an exact integer', () => {
  assert.ok(Number.isSafeInteger(2 ** 31 * WEIGHT_MAX))
})

score.run()
