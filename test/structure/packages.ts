/** Manifests, lockfile and workspace: exact versions, no surprise builds, no version with a known flaw. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { filesBelow, manifestOf, none, PACKAGES, textOf } from './tree.ts'

/** Packages with an install script, and whether it may run. Look at a new one before naming it here. */
const BUILDS = { 'classic-level': false }

interface Floor {
  /** The first version without the flaw; absent when no version is without it. */
  least?: string
  flaw: string
}

/** `a` before `b`, by major, minor and patch; a prerelease counts as its release's predecessor. */
function isBelow(a: string, b: string): boolean {
  const parts = (version: string) => version.split(/[-+]/)[0]?.split('.').map(Number) ?? []
  const [left, right] = [parts(a), parts(b)]
  for (let i = 0; i < 3; i++) {
    if (left[i] !== right[i]) return (left[i] ?? 0) < (right[i] ?? 0)
  }
  return a.includes('-') && !b.includes('-')
}

/** Every `name@version` of the lockfile's `packages:`. */
function locked(lockfile: string): { name: string; version: string }[] {
  const section = /^packages:\n([\s\S]*?)^\S/m.exec(lockfile)?.[1] ?? ''
  return [...section.matchAll(/^ {2}'?((?:@[^/\s]+\/)?[^@\s]+)@([^:'(\s]+)'?:$/gm)].map(
    ([, name, version]) => ({ name: name as string, version: version as string })
  )
}

function flawed(lockfile: string, floors: Record<string, Floor>): string[] {
  return locked(lockfile).flatMap(({ name, version }) => {
    const floor = floors[name]
    if (floor === undefined || (floor.least !== undefined && !isBelow(version, floor.least))) return []
    return [`${name} ${version}: ${floor.flaw}; least: ${floor.least ?? 'none, do without it'}`]
  })
}

const packages = suite('packages')

packages('every package in the tree is one of the eight', () => {
  const found = filesBelow('packages', 'package.json').map((path) => path.split('/')[1] as string)
  assert.equal(found.sort(), [...PACKAGES].sort(), 'DESIGN.md names eight packages and their arrows')
})

packages('versions are exact', () => {
  const manifests = filesBelow('', 'package.json')
  assert.ok(manifests.length >= PACKAGES.length + 1)
  const found = manifests.flatMap((path) => {
    const { dependencies, devDependencies, optionalDependencies } = manifestOf(
      path.slice(0, -'package.json'.length)
    )
    return Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })
      .filter(([, version]) => version !== 'workspace:*' && !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))
      .map(([name, version]) => `${path}: ${name} ${version}`)
  })
  none(found, 'a range is another program tomorrow: write the one version that was tested')
})

packages('no package compiles or fetches anything when it is installed', () => {
  const workspace = textOf('pnpm-workspace.yaml')
  const section = /^allowBuilds:[^\n]*\n((?: {2}[^\n]*\n)*)/m.exec(workspace)?.[1] ?? ''
  const builds = Object.fromEntries(
    [...section.matchAll(/^ {2}'?([^\s:']+)'?: (true|false)/gm)].map(([, name, may]) => [
      name,
      may === 'true'
    ])
  )
  assert.equal(
    builds,
    BUILDS,
    'an install script runs with all of our rights: look at it, then name it in both places'
  )
})

packages('a version below its floor is found', () => {
  const lockfile =
    "x: 1\npackages:\n\n  '@a/b@1.9.0':\n    r: {}\n\n  c@2.0.0-rc.1:\n    r: {}\n\n" +
    '  d@3.10.0:\n    r: {}\nsnapshots:\n'
  const names = (floors: Record<string, Floor>) => flawed(lockfile, floors).length
  assert.is(
    names({ '@a/b': { least: '1.10.0', flaw: '' }, c: { least: '2.0.0', flaw: '' }, d: { flaw: '' } }),
    3
  )
  assert.is(
    names({ '@a/b': { least: '1.9.0', flaw: '' }, d: { least: '3.9.9', flaw: '' }, e: { flaw: '' } }),
    0
  )
})

packages('no locked version has a flaw that was published', () => {
  const lockfile = textOf('pnpm-lock.yaml')
  assert.ok(locked(lockfile).length > 100, 'the lockfile could not be read')
  const floors = JSON.parse(textOf('scripts/floors.json')) as Record<string, Floor>
  none(flawed(lockfile, floors), 'scripts/floors.json: raise the version, or whatever brings it along')
})

packages.run()
