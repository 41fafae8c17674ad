import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { count, duration, plural, safe, safeProse, shortCid, size, table, width } from '../src/format.ts'

const format = suite('format')

format('sizes are decimal, with one digit after the point below 100', () => {
  const table: [number, string][] = [
    [0, '0 B'],
    [999, '999 B'],
    [1_000, '1.0 kB'],
    [99_949, '99.9 kB'],
    [99_950, '100 kB'],
    [999_499, '999 kB'],
    [999_500, '1.0 MB'],
    [1_234_567_890, '1.2 GB'],
    [200e9, '200 GB'],
    [Number.MAX_SAFE_INTEGER, '9.0 PB']
  ]
  for (const [bytes, text] of table) assert.is(size(bytes), text)
})

format('durations name one unit', () => {
  const table: [number, string][] = [
    [0, '0 ms'],
    [999, '999 ms'],
    [2_100, '2.1 s'],
    [40_000, '40 s'],
    [240_000, '4 min'],
    [3 * 3_600_000, '3 h'],
    [3 * 86_400_000, '3 d']
  ]
  for (const [ms, text] of table) assert.is(duration(ms), text)
})

format('counts have separators, and agree with their noun', () => {
  assert.is(count(1_204), '1,204')
  assert.is(plural(1, 'block'), '1 block')
  assert.is(plural(2_944, 'entry', 'entries'), '2,944 entries')
})

format('a short CID keeps its two ends', () => {
  assert.is(shortCid('bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'), 'bafybei…zdi')
  assert.is(shortCid('short'), 'short')
})

format('no control or formatting character of a name reaches the terminal', () => {
  const hostile = [
    '\u001b[2J\u001b[H', // clears the screen
    '\u001b]0;title\u0007',
    '\u009b31m', // the one-byte form of ESC [
    'a\nb\rc\td\u0000',
    'gpj.\u202eexe', // shown backwards
    '\u200b\ufeff\u2066\u2028\u2029\u00ad',
    '\ud800' // half a character
  ]
  for (const name of hostile) {
    assert.not.match(safe(name), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u, JSON.stringify(name))
  }
  assert.is(safe('a\u001bb'), 'a\\u{1b}b')
})

format('different names look different, and ordinary ones as they are', () => {
  assert.is.not(safe('\\u{1b}'), safe('\u001b'))
  for (const name of ['photos', 'Ångström.txt', '日本語', 'a b', '🎉.png']) assert.is(safe(name), name)
})

format('prose keeps its lines and loses its escapes', () => {
  assert.is(safeProse('one\ntwo\u001b[1m'), 'one\ntwo\\u{1b}[1m')
})

format('wide characters take two columns, marks and colours none', () => {
  assert.is(width('abc'), 3)
  assert.is(width('日本'), 4)
  assert.is(width('🎉'), 2)
  assert.is(width('e\u0301'), 1)
  assert.is(width('\u001b[31mred\u001b[39m'), 3)
})

format('columns line up, numbers on the right, without trailing blanks', () => {
  const columns = [{ title: 'NAME' }, { title: 'SIZE', right: true }, { title: 'X' }]
  const rows = [
    ['日本', '1 B', ''],
    ['photos', '12 kB', 'y']
  ]
  assert.is(table(columns, rows), ['NAME     SIZE  X', '日本      1 B', 'photos  12 kB  y'].join('\n'))
})

format.run()
