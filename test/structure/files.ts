/** What every file must have, and must not: a test of its own, an opening, honest names, no traces. */
import { basename, dirname } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { filesBelowTests, importsUvu } from '../../scripts/test/find.ts'
import { importsOf, lineAt, read } from './source.ts'
import { filesBelow, none, ROOT, textOf } from './tree.ts'

/** Packages whose every source file has a test of the same name. */
const TESTED = ['core', 'blocks', 'store']
/** Sources without one, and why. */
const UNTESTED: Record<string, string> = {
  'packages/blocks/src/fs.ts': 'is the list of what the Node part exports',
  'packages/store/src/contract.ts': 'is the suite that the tests of every store run'
}

/** A file of types alone is tested by the compiler. */
const DOES_SOMETHING = /\bexport\s+(?!type\b|interface\b|declare\b)/
/** The same thing for Node and for browsers: one test for both. */
const VARIANT = /\.(?:node|web)\.ts$/

const LINE_CHARS_MAX = 110
/** Words that name nothing; say what it does. */
const EMPTY_WORDS = /Manager|Service|Handler|Util|Helper/
const EMPTY_FILE = /(?:^|[-/.])(?:manager|service|handler|util|helper)s?(?=[-/.]|$)/i
/** Home and work directories of one machine, and hosts from which packages come. */
const TRACES = [
  /(?:^|[\s"'`(=:])\/(?:work|home|root|Users|tmp\/brief)\/[\w.-]+/,
  /https?:\/\/[\w.-]*(?:registry|npmjs|artifactory|nexus|verdaccio|pypi)[\w.-]*/i,
  /\b_authToken\b/
]
const TEXT = /\.(?:ts|mjs|js|json|md|yaml|yml|html|css|sh|txt)$|^(?:\.ci\/run|LICENSE-\w+|\.gitignore)$/

function code(): string[] {
  return ['packages', 'scripts', 'test'].flatMap((directory) =>
    filesBelow(directory).filter((path) => /\.(?:ts|mjs)$/.test(path))
  )
}

function sources(): string[] {
  return filesBelow('packages', '.ts').filter((path) => /^packages\/\w+\/src\//.test(path))
}

function tests(): string[] {
  return filesBelowTests(ROOT).filter((path) => importsUvu(textOf(path)))
}

/** `path:line` of each match in the code, comments and texts left out. */
function matches(path: string, pattern: RegExp): string[] {
  const { code } = read(textOf(path))
  return [...code.matchAll(new RegExp(pattern, 'g'))].map(
    ({ 0: found, index }) => `${path}:${lineAt(code, index)} ${found.trim()}`
  )
}

function linesMatching(path: string, pattern: RegExp): string[] {
  return textOf(path)
    .split('\n')
    .flatMap((line, index) =>
      pattern.test(line) ? [`${path}:${index + 1} ${pattern.exec(line)?.[0].trim()}`] : []
    )
}

/** The suites of a test file that never call `.run()`, or that use a hook. */
function suiteFaults(path: string, text: string): string[] {
  const source = read(text).code
  const names = [...source.matchAll(/\bconst (\w+) = suite\b/g)].map(([, name]) => name as string)
  if (/^import\s*\{[^}]*\btest\b/m.test(source)) names.push('test')
  const idle = names.filter((name) => !new RegExp(`\\b${name}\\s*\\.\\s*run\\(\\)`).test(source))
  const hooked = names.filter((name) => new RegExp(`\\b${name}\\s*\\.\\s*(?:before|after)\\b`).test(source))
  return [
    ...(/\.\s*run\(\)/.test(source) ? [] : [`${path} never calls .run()`]),
    ...idle.map((name) => `${path}: ${name}.run() is missing`),
    ...hooked.map((name) => `${path}: ${name} has a hook, whose errors uvu swallows: set up in the test`)
  ]
}

const files = suite('files')

files('every test file runs all of its suites, without hooks', () => {
  assert.is(suiteFaults('x', "const a = suite('a')\nconst b = suite('b')\na.run()").length, 1)
  assert.is(suiteFaults('x', "const a = suite('a')\n// a.run()").length, 2)
  assert.is(suiteFaults('x', "const a = suite('a')\na.before(() => {})\na.run()").length, 1)
  none(
    tests().flatMap((path) => suiteFaults(path, textOf(path))),
    'uvu exits with 0 all the same: end the file with NAME.run() for each suite'
  )
})

files('every file among the tests is a test, or is imported by one', () => {
  const all = filesBelowTests(ROOT)
  const imported = new Set(
    all.flatMap((path) =>
      importsOf(read(textOf(path)))
        .filter(({ from }) => from?.startsWith('.'))
        .map(({ from }) => new URL(from as string, `file:///${path}`).pathname.slice(1))
    )
  )
  const runsAlone = tests()
  const idle = all.filter((path) => !runsAlone.includes(path) && !imported.has(path) && !isStarted(path, all))
  none(idle, "never runs: a test imports 'uvu' itself; a program that a test starts is named in that test")
})

/** Some files are programs that a test starts by name. */
function isStarted(path: string, all: readonly string[]): boolean {
  return all.some((other) => other !== path && textOf(other).includes(basename(path)))
}

files(`every source of ${TESTED.join(', ')} has a test of the same name`, () => {
  const found = TESTED.flatMap((name) => filesBelow(`packages/${name}/src`, '.ts'))
    .filter((path) => basename(path) !== 'index.ts' && UNTESTED[path] === undefined)
    .filter((path) => DOES_SOMETHING.test(read(textOf(path)).code))
    .map((path) => ({ path, test: path.replace('/src/', '/test/').replace(VARIANT, '.ts') }))
    .filter(({ test }) => !tests().includes(test))
  none(
    found.map(({ path, test }) => `${path}: no ${test}`),
    'a source without a test is a promise without proof: write it, or name it in UNTESTED with the reason'
  )
  for (const path of Object.keys(UNTESTED))
    assert.ok(sources().includes(path), `${path} has gone: forget it here`)
})

files('nothing is declared with `using`', () => {
  const found = code().flatMap((path) => matches(path, /\busing\s+\w+\s*=/))
  none(found, 'Node 22 cannot parse it, and sources run as they are: use try and finally')
})

files('no test is singled out or left out', () => {
  const found = tests().flatMap((path) => matches(path, /\.\s*(?:only|skip)\s*\(/))
  none(found, 'run all: a test that cannot run here prints `SKIPPED: why` and returns')
})

files('names say what a thing does', () => {
  const named =
    /\bexport\s+(?:(?:declare|abstract|async)\s+)*(?:function\*?|class|const|let|interface|type)\s+\w+/
  const exported = code().flatMap((path) => matches(path, named).filter((found) => EMPTY_WORDS.test(found)))
  const paths = code().filter((path) => EMPTY_FILE.test(path))
  none(
    [...exported, ...paths],
    'Manager, Service, Handler, Util and Helper name nothing: use the word of the field'
  )
})

files('nothing is exported by default', () => {
  const found = code().flatMap((path) => matches(path, /\bexport\s+default\b|\bas\s+default\b/))
  none(found, 'a default export has as many names as importers: export it by name')
})

files('every source opens by saying what it decides', () => {
  const found = [...sources(), ...filesBelow('scripts', '.ts'), ...filesBelow('scripts', '.mjs')].filter(
    (path) => {
      const text = textOf(path).replace(/^#!.*\n/, '')
      return basename(path) !== 'index.ts' && !/^(?:\/\*\*|\/\/)/.test(text)
    }
  )
  none(found, 'begin the file with two to six lines: what it decides, on what paper if any')
})

files(`no line is longer than ${LINE_CHARS_MAX} characters`, () => {
  const long = new RegExp(`^.{${LINE_CHARS_MAX + 1},}$`, 'u')
  const found = code().flatMap((path) => linesMatching(path, long))
  none(
    found.map((line) => line.split(' ')[0] as string),
    'break it: two panes fit beside each other'
  )
})

files('nothing tells of one machine, or of where packages came from', () => {
  assert.ok(TRACES[0]?.test(`const a = '${['', 'home', 'ann', 'cairn'].join('/')}'`))
  assert.ok(TRACES[1]?.test(`https://${['registry', 'example', 'org'].join('.')}/x`))
  const found = filesBelow('')
    .filter((path) => TEXT.test(path) && dirname(path) !== 'node_modules')
    .flatMap((path) => TRACES.flatMap((pattern) => linesMatching(path, pattern)))
  none(found, 'it means nothing elsewhere: tests use os.tmpdir(), documents use ~ or a made-up name')
})

files.run()
