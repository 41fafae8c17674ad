// limit: 240 s
import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { bite, MUTANTS } from '../src/index.ts'

/**
 * Those played here, by what each needs found: a disk, a wrong byte, a claim, a view, a departure, a promise.
 * `npm run simulate -- --teeth` plays all.
 */
const PLAYED = [
  'a receipt before the sync',
  'what is read is not verified',
  'a second claim is not kept',
  'a changed view is not looked at',
  'leaving without handing over',
  'let go on N - 1 promises'
]
const SIZE = { first: 1, seeds: 100, nodes: 12, minutes: 3 }

const mutants = suite('planted bugs')

mutants('there are twenty at least, each a change of a text that stands once in its file', () => {
  assert.ok(MUTANTS.length >= 20)
  assert.is(new Set(MUTANTS.map(({ name }) => name)).size, MUTANTS.length)
  for (const { name, file, find, put } of MUTANTS) {
    const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
    assert.is(text.split(find).length, 2, `${name}: not once in ${file}; if that changed, change the mutant`)
    assert.is.not(find, put)
  }
})

for (const name of PLAYED) {
  mutants(`found: ${name}`, async () => {
    const mutant = MUTANTS.find((one) => one.name === name)
    assert.ok(mutant !== undefined)
    const found = await bite(mutant, SIZE)
    assert.ok(found.seed !== undefined, `not found in ${found.seeds} seeds`)
  })
}

mutants.run()
