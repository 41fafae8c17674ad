/** Imports and manifests follow DESIGN.md's arrows, and name what they use: no more, no less. */
import { dirname, relative, resolve } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Import, importsOf, packageOf, read } from './source.ts'
import { ARROWS, filesBelow, manifestOf, none, PACKAGES, ROOT, textOf } from './tree.ts'

/** Used by its command or by the compiler, never imported. */
const TOOLS = new Set(['@biomejs/biome', 'typescript', '@types/node'])

interface Use extends Import {
  path: string
}

function usesBelow(directory: string): Use[] {
  return filesBelow(directory, '.ts').flatMap((path) =>
    importsOf(read(textOf(path))).map((found) => ({ ...found, path }))
  )
}

function at({ path, line, from }: Use): string {
  return `${path}:${line} imports ${from ?? 'something computed'}`
}

/** What is declared and never imported. */
function unused(where: string, declared: readonly string[], uses: readonly Use[]): string[] {
  const imported = new Set(uses.map(({ from }) => (from === undefined ? undefined : packageOf(from))))
  const idle = declared.filter((name) => !imported.has(name) && !TOOLS.has(name))
  return idle.map((name) => `${where} declares ${name}, which nothing there imports`)
}

function undeclared(declared: readonly string[], uses: readonly Use[]): string[] {
  return uses
    .filter(({ from }) => {
      const name = from === undefined ? undefined : packageOf(from)
      return name !== undefined && !declared.includes(name)
    })
    .map(at)
}

const arrows = suite('arrows')

arrows('the reader finds each form of import, and none in comments or texts', () => {
  const source = [
    "import { a } from './a.ts'",
    "import type B from 'b'",
    "import 'c/side-effect'",
    "export * from './d.ts'",
    'export {',
    '  e',
    "} from '@x/e/sub'",
    "const f = await import('f')",
    'const g = await import(name)',
    'client.import(car)',
    "// import { h } from 'h'",
    'const i = "import { i } from \'i\'"',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the source of a template
    "const j = `import j from 'j' ${await import('k')}`",
    "const l = /import 'l'/.test(`from 'm'`) // 'n"
  ].join('\n')
  const found = importsOf(read(source)).map(({ from }) => from ?? '?')
  assert.equal(found, ['./a.ts', 'b', 'c/side-effect', './d.ts', '@x/e/sub', 'f', '?', 'k'])
  assert.is(packageOf('@x/e/sub'), '@x/e')
  assert.is(packageOf('node:fs'), undefined)
})

arrows('packages import each other only along the arrows', () => {
  const found = PACKAGES.flatMap((name) =>
    usesBelow(`packages/${name}`).filter(({ from }) => {
      const other = from === undefined ? undefined : /^@cairn\/([^/]+)/.exec(from)?.[1]
      return other !== undefined && other !== name && !(ARROWS[name] as string[]).includes(other)
    })
  )
  none(
    found.map(at),
    'against the arrows of DESIGN.md (Layout): move it down to where both may import it, or the test to test/'
  )
})

arrows('a package is entered only through its exports', () => {
  const found = [...PACKAGES.map((name) => `packages/${name}`), 'scripts', 'test'].flatMap((directory) =>
    usesBelow(directory).filter(({ from }) => {
      const [, name, subpath] = /^@cairn\/([^/]+)(\/.+)?$/.exec(from ?? '') ?? []
      if (name === undefined) return false
      return manifestOf(`packages/${name}`).exports?.[`.${subpath ?? ''}`] === undefined
    })
  )
  none(found.map(at), 'not among the exports of that package: export it from its index.ts, or add a subpath')
})

arrows('relative imports stay within their package, and sources do not import tests', () => {
  const found = PACKAGES.flatMap((name) =>
    usesBelow(`packages/${name}`).filter(({ path, from }) => {
      if (from === undefined || !from.startsWith('.')) return false
      const target = relative(ROOT, resolve(ROOT, dirname(path), from))
      const home = path.startsWith(`packages/${name}/src/`) ? `packages/${name}/src/` : `packages/${name}/`
      return !target.startsWith(home)
    })
  )
  none(found.map(at), 'a path into another package avoids the arrows: import @cairn/NAME instead')
})

arrows('tests and scripts that cross packages import them by name', () => {
  const found = [...usesBelow('scripts'), ...usesBelow('test')].filter(({ from }) =>
    /^\.{1,2}\/.*packages\/[^/]+\/(?:src|dist)\//.test(from ?? '')
  )
  none(found.map(at), 'import @cairn/NAME: the root depends on every package for this')
})

arrows('no import is computed', () => {
  const found = PACKAGES.flatMap((name) => usesBelow(`packages/${name}/src`)).filter(
    ({ from }) => from === undefined
  )
  none(found.map(at), 'this test cannot follow it: name each module in a literal')
})

arrows('manifests and project references follow the arrows', () => {
  const found = PACKAGES.flatMap((name) => {
    const { dependencies = {}, devDependencies = {} } = manifestOf(`packages/${name}`)
    const own = Object.keys({ ...dependencies, ...devDependencies })
      .filter((dependency) => dependency.startsWith('@cairn/'))
      .map((dependency) => dependency.slice('@cairn/'.length))
    const { references = [] } = JSON.parse(textOf(`packages/${name}/tsconfig.json`)) as {
      references?: { path: string }[]
    }
    const referred = references.map(({ path }) => path.replace('../', ''))
    const wrong = [...own, ...referred].filter((other) => !(ARROWS[name] as string[]).includes(other))
    const missing = own.filter((other) => !referred.includes(other))
    return [
      ...wrong.map((other) => `packages/${name} depends on ${other}`),
      ...missing.map((other) => `packages/${name}/tsconfig.json does not refer to ../${other}`)
    ]
  })
  none(found, 'package.json and tsconfig.json must agree with the arrows of DESIGN.md and with each other')
})

arrows('every package that a source imports is among its dependencies', () => {
  const found = PACKAGES.flatMap((name) =>
    undeclared(
      Object.keys(manifestOf(`packages/${name}`).dependencies ?? {}),
      usesBelow(`packages/${name}/src`)
    )
  )
  none(
    found,
    'it works here by luck of hoisting: add it to "dependencies" in that package.json, exact version'
  )
})

arrows('every package that a test or script imports is declared where it lies', () => {
  const inPackages = PACKAGES.flatMap((name) => {
    const { dependencies, devDependencies } = manifestOf(`packages/${name}`)
    const declared = [`@cairn/${name}`, ...Object.keys({ ...dependencies, ...devDependencies })]
    return undeclared(declared, usesBelow(`packages/${name}/test`))
  })
  const { devDependencies = {} } = manifestOf('')
  const atRoot = undeclared(Object.keys(devDependencies), [...usesBelow('scripts'), ...usesBelow('test')])
  none([...inPackages, ...atRoot], 'add it to "devDependencies" of the package.json beside it, exact version')
})

arrows('every declared dependency is imported', () => {
  const inPackages = PACKAGES.flatMap((name) => {
    const { dependencies = {}, devDependencies = {} } = manifestOf(`packages/${name}`)
    const where = `packages/${name}/package.json`
    return [
      ...unused(where, Object.keys(dependencies), usesBelow(`packages/${name}/src`)),
      ...unused(where, Object.keys(devDependencies), usesBelow(`packages/${name}/test`))
    ]
  })
  const { devDependencies = {} } = manifestOf('')
  // @cairn/*: the root links them all, so that `npx cairn` is found and any test may cross packages
  const external = Object.keys(devDependencies).filter((name) => !name.startsWith('@cairn/'))
  const atRoot = unused('package.json', external, [...usesBelow('scripts'), ...usesBelow('test')])
  none([...inPackages, ...atRoot], 'each is code that we ship and must watch: remove it')
})

arrows.run()
