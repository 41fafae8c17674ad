import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createPlaces, LINE_MAX, retryAfterMs } from '../src/places.ts'

const places = suite('places')

function script(total: number) {
  const at = { ms: 0 }
  const { enter } = createPlaces(total, () => at.ms)
  /** What ends it, or after how many ms to ask again. */
  const ask = (who: string): (() => void) | number => {
    try {
      return enter(who)
    } catch (error) {
      assert.ok(CairnError.is(error, 'BUSY'), String(error))
      return retryAfterMs(error)
    }
  }
  const end = (entered: (() => void) | number): void => {
    assert.type(entered, 'function')
    ;(entered as () => void)()
  }
  return { at, ask, end }
}

places('so many may enter, and one who ends twice frees one place', () => {
  const { ask, end } = script(2)
  const [a] = [ask('a'), ask('a')]
  assert.is(ask('b'), 1_000)
  end(a)
  end(a)
  assert.type(ask('b'), 'function')
  assert.type(ask('c'), 'number')
})

places('the first told is the first let in, whoever asks first', () => {
  const { at, ask, end } = script(1)
  const running = ask('a')
  assert.type(ask('b'), 'number')
  assert.type(ask('c'), 'number')
  end(running)
  at.ms = 1_000
  assert.type(ask('d'), 'number', 'one who comes now is behind')
  assert.type(ask('c'), 'number', 'so is the second')
  assert.type(ask('b'), 'function')
})

places('who does not come back in time loses its place', () => {
  const { at, ask, end } = script(1)
  const running = ask('a')
  ask('b')
  end(running)
  at.ms = 4_001
  assert.type(ask('c'), 'function')
})

places('whoever is far behind is told to wait for longer, never too long', () => {
  const { at, ask, end } = script(2)
  for (let i = 0; i < 40; i++) {
    const one = ask('a')
    at.ms += 2_000
    end(one)
  }
  ask('a')
  ask('a')
  const told = Array.from({ length: 20 }, (_, i) => ask(`${i}`) as number)
  assert.ok(told.every((ms, i) => i === 0 || ms >= (told[i - 1] as number)))
  assert.ok((told[0] as number) < 2_000)
  assert.is(told.at(-1), 10_000)
})

places('the line is bounded, and who is not in it is let in by luck', () => {
  const { at, ask, end } = script(1)
  const running = ask('a')
  for (let i = 0; i < LINE_MAX + 10; i++) assert.type(ask(`b${i}`), 'number')
  end(running)
  at.ms = 20_000 // all are late
  assert.type(ask('c'), 'function')
})

places.run()
