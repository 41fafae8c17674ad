/** What each package would ship if it were published: its compiled program alone, and all of that. */
// limit: 180 s
// beside others
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { manifestOf, none, PACKAGES, ROOT } from './structure/tree.ts'

const run = promisify(execFile)
/** A package's list of files, with room to spare. */
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024
const SHIPPED =
  /^(?:dist\/.+\.(?:js|d\.ts|js\.map)|bin\/cairn\.mjs|package\.json|README\.md|LICENSE(?:-\w+)?)$/
/** Files that a program reads beside its code. */
const SHIPPED_ASSET = /^dist\/.+\.(?:html|css|svg|js)$/

async function build(): Promise<void> {
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc')
  await run(tsc, ['-b', '--pretty', 'false'], { cwd: ROOT }).catch(({ stdout }: { stdout: string }) => {
    const [first = ''] = stdout.split('\n')
    assert.unreachable(`tsc -b failed, so there is nothing to ship; its first error: ${first}`)
  })
}

/** The paths that `npm pack` would put into the package, npm's own traces kept in a directory that goes. */
async function packed(name: string): Promise<string[]> {
  const cache = mkdtempSync(join(tmpdir(), 'npm-'))
  try {
    const env = { ...process.env, npm_config_cache: cache, npm_config_update_notifier: 'false' }
    const options = { cwd: join(ROOT, 'packages', name), env, maxBuffer: OUTPUT_BYTES_MAX }
    const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], options)
    const [found] = JSON.parse(stdout) as { files: { path: string }[] }[]
    return (found?.files ?? []).map(({ path }) => path)
  } finally {
    rmSync(cache, { recursive: true, force: true })
  }
}

/** The files that a manifest points at, without the leading `./`, and the program that a bin starts. */
function targetsOf(name: string): string[] {
  const { exports = {}, bin = {} } = manifestOf(`packages/${name}`)
  const targets = Object.values(exports).flatMap(({ types, default: main }) => [types, main])
  const programs = Object.values(bin).flatMap((path) => [path, './dist/main.js'])
  return [...targets, ...programs]
    .filter((target): target is string => target !== undefined)
    .map((target) => target.replace(/^\.\//, ''))
}

const packaging = suite('packaging')

packaging('each package ships what its exports name, and no source, test or scratch file', async () => {
  await build()
  for (const name of PACKAGES) {
    const files = await packed(name)
    assert.ok(files.includes('package.json'), `${name}: npm pack listed nothing`)
    none(
      files.filter((path) => !SHIPPED.test(path) && !SHIPPED_ASSET.test(path)),
      `@cairn/${name} would ship these: "files" in its package.json names dist (and bin) alone`
    )
    none(
      targetsOf(name).filter((path) => !files.includes(path)),
      `@cairn/${name} names these in "exports" or "bin" but would not ship them`
    )
  }
})

packaging('the compiled packages load by their names, as they will once installed', async () => {
  await build()
  const names = PACKAGES.map((name) => `@cairn/${name}`)
  const load = 'console.log(import.meta.resolve(name), typeof (await import(name)))'
  const script = `for (const name of ${JSON.stringify(names)}) ${load}`
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { cwd: ROOT })
  const lines = stdout.trim().split('\n')
  assert.is(lines.length, names.length)
  for (const line of lines) assert.match(line, /\/dist\/index\.js object$/)
})

packaging('the compiled command runs', async () => {
  await build()
  const main = join(ROOT, 'packages', 'cli', 'dist', 'main.js')
  const { stdout } = await run(process.execPath, [main, 'version'], { cwd: tmpdir() })
  assert.match(stdout, /\d+\.\d+\.\d+/)
})

packaging.run()
