/** A thread that plays scenarios, with a bug planted if it is told to, before the core is loaded. */
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import { parentPort, workerData } from 'node:worker_threads'
import type { Mutant } from './mutants.ts'
import type { Scenario } from './scenario.ts'

const { mutant } = workerData as { mutant: Mutant | undefined }
if (mutant !== undefined) plant(mutant)
const { play } = await import('./play.ts')
parentPort?.on('message', (scenario: Scenario) => parentPort?.postMessage(play(scenario)))

function plant({ file, find, put, name }: Mutant): void {
  const path = fileURLToPath(new URL(`../../${file}`, import.meta.url))
  const text = readFileSync(path, 'utf8')
  if (text.split(find).length !== 2) throw new RangeError(`${name}: its text is not once in ${file}`)
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context)
      if (!url.startsWith('file:') || fileURLToPath(url) !== path) return loaded
      return { ...loaded, source: text.replace(find, () => put) }
    }
  })
}
