/**
 * Core is a function of what is passed in. Its tsconfig (no types, ES2023 alone) lets no I/O compile;
 * what ES2023 itself brings along, and whatever a `declare` could smuggle in, is forbidden here by name.
 */
import { dirname } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { importsOf, lineAt, read } from './source.ts'
import { filesBelow, manifestOf, none, textOf } from './tree.ts'

/** What core may not use, and what it does instead. */
const AMBIENT: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [/\bDate\b/, '`now` is passed in'],
  [/\bMath\s*\.\s*random\b/, 'a `Random` is passed in'],
  [/\bcrypto\s*\.\s*(?:subtle|getRandomValues|randomUUID)\b/, 'cryptography is passed in'],
  [/\b(?:performance|hrtime)\b/, '`now` is passed in'],
  [/\b(?:set|clear)(?:Timeout|Interval|Immediate)\b|\bqueueMicrotask\b/, 'a timer is an action'],
  [/\bPromise\b|\basync\b|\bawait\b/, 'what was done comes back as an event'],
  [/\b(?:WeakRef|FinalizationRegistry)\b/, 'nothing may depend on the garbage collector'],
  [/\b(?:SharedArrayBuffer|Atomics)\b/, 'nothing is shared'],
  [/\bIntl\b|\.\s*toLocale\w*\b|\.\s*localeCompare\b/, 'compare with < and >: locales differ by machine'],
  [/\bglobalThis\b|\beval\b|\bnew\s+Function\b/, 'what core needs is passed in'],
  [/\b(?:console|fetch|TextEncoder|TextDecoder|Buffer)\b|\bprocess\s*\./, 'I/O is an action; see bytes.ts'],
  [/\bimport\s*\.\s*meta\b|\brequire\s*\(/, 'core reads nothing']
]

/** ECMA-262 leaves the last bits of these to the engine, and every engine must place alike. */
const INEXACT = /\bMath\s*\.\s*(?:a?(?:sin|cos|tan)h?|atan2|cbrt|expm?1?|hypot|log(?:10|1p|2)?|pow|sqrt)\b/

function findings(path: string, text: string): string[] {
  const source = read(text)
  const ambient = AMBIENT.flatMap(([pattern, instead]) =>
    [...source.code.matchAll(new RegExp(pattern, 'g'))].map(
      ({ 0: word, index }) => `${path}:${lineAt(source.code, index)} uses ${word}: ${instead}`
    )
  )
  const imports = importsOf(source)
    .filter(({ from }) => from?.startsWith('.') !== true)
    .map(
      ({ from, line }) => `${path}:${line} imports ${from ?? 'something computed'}: core has no dependencies`
    )
  return [...ambient, ...imports]
}

/** A file and all that it imports, directly or not. */
function closure(path: string, seen: Set<string>): string[] {
  if (seen.has(path)) return []
  seen.add(path)
  const imported = importsOf(read(textOf(path))).flatMap(({ from }) => (from?.startsWith('./') ? [from] : []))
  return [path, ...imported.flatMap((from) => closure(`${dirname(path)}/${from.slice(2)}`, seen))]
}

const core = suite('core')

core('is found out by each thing that it may not use, and by nothing in a comment or a text', () => {
  const bad = [
    'new Date()',
    'Math.random()',
    'setTimeout(f)',
    'async () => 1',
    'Promise.all([])',
    'console.log(1)'
  ]
  for (const code of [
    ...bad,
    "import 'node:fs'",
    'globalThis.x',
    'performance.now()',
    'new WeakRef(o)',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the source of a template
    '`${Date}`'
  ]) {
    assert.is(findings('x', code).length, 1, code)
  }
  assert.equal(
    findings('x', "// Date\n/* Promise */ const a = 'await Date' // console\nconst up = updated"),
    []
  )
})

core('has no ambient clock, chance, timer, promise or I/O', () => {
  const paths = filesBelow('packages/core/src', '.ts')
  assert.ok(paths.length > 5, 'core was not found')
  none(
    paths.flatMap((path) => findings(path, textOf(path))),
    'core decides from what is passed in alone, or the simulator tests something else (DESIGN.md, One idea)'
  )
})

core('depends on no package', () => {
  none(Object.keys(manifestOf('packages/core').dependencies ?? {}), 'core is pure: remove these dependencies')
})

core('compiles with ES2023 and no types', () => {
  const base = JSON.parse(textOf('tsconfig.base.json')) as {
    compilerOptions: { types: string[]; lib: string[] }
  }
  const own = JSON.parse(textOf('packages/core/tsconfig.json')) as {
    compilerOptions: Record<string, unknown>
  }
  const { types, lib } = { ...base.compilerOptions, ...own.compilerOptions }
  assert.equal(
    { types, lib },
    { types: [], lib: ['ES2023'] },
    'with more, a timer or a socket would compile in core'
  )
})

core('places with integers alone', () => {
  const paths = closure('packages/core/src/placement.ts', new Set())
  const found = paths.flatMap((path) => {
    const { code } = read(textOf(path))
    return [...code.matchAll(new RegExp(INEXACT, 'g'))].map(
      ({ 0: word, index }) => `${path}:${lineAt(code, index)} uses ${word}`
    )
  })
  none(found, 'engines may differ in the last bit of these, and then two nodes disagree on who holds a block')
})

core.run()
