import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const index = suite('index')
const SRC = join(import.meta.dirname, '..', 'src')

/** All that `file` imports, directly or not. */
function imports(file: string, found = new Set<string>()): Set<string> {
  for (const [, from = ''] of readFileSync(file, 'utf8').matchAll(
    /^(?:import|export) [^'"]*['"]([^'"]+)['"]/gm
  )) {
    const path = from.startsWith('.')
      ? join(dirname(file), from)
      : from === '#hash'
        ? join(SRC, 'hash.web.ts')
        : from
    if (found.has(path)) continue
    found.add(path)
    if (path.startsWith(SRC)) imports(path, found)
  }
  return found
}

index('the main entry needs nothing of Node, so browsers can take it', () => {
  const all = [...imports(join(SRC, 'index.ts'))]
  assert.ok(all.length > 10, 'the imports are found')
  assert.equal(
    all.filter((name) => /^node:|napi|\/fs\.ts$|walk-path|write-tree/.test(name)),
    []
  )
})

index.run()
