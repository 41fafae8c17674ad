import type { PeerId } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ADJECTIVES, ANIMALS, nameOf } from '../src/names.ts'

const names = suite('nameOf')

names('128 short adjectives and 128 short animals, each once', () => {
  for (const words of [ADJECTIVES, ANIMALS]) {
    assert.is(words.length, 128)
    assert.is(new Set(words).size, 128)
    for (const word of words) assert.match(word, /^[a-z]{2,8}$/)
  }
})

names('the same peer has the same name for ever', () => {
  assert.is(nameOf('12D3KooWJzDj6Ly5pmdqNWD3XhGmXZ8nDqZoVfu8KhVFfNSDfjTQ' as PeerId), GOLDEN)
})

names('ten thousand peers use most of the names', () => {
  const seen = new Set(Array.from({ length: 10_000 }, (_, i) => nameOf(`peer ${i}` as PeerId)))
  assert.ok(seen.size > 7_000, `${seen.size}`)
})

const GOLDEN = 'crisp-swan'

names.run()
