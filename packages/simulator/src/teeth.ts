/**
 * Whether the checks find each planted bug, and how soon: seed after seed until one breaks that holds without
 * it. A seed that breaks by itself has found nothing.
 */
import { playAll } from './crew.ts'
import type { Mutant } from './mutants.ts'
import { play } from './play.ts'
import { drawScenario } from './scenario.ts'

export interface Bite {
  name: string
  /** The seed that found it; undefined when none did. */
  seed: number | undefined
  broken: string | undefined
  seeds: number
  /** Seeds that break without it, too. */
  unsound: number[]
}

type Size = Record<'first' | 'seeds' | 'nodes' | 'minutes', number>

export async function bite(mutant: Mutant, { first, seeds, nodes, minutes }: Size): Promise<Bite> {
  const found: Bite = { name: mutant.name, seed: undefined, broken: undefined, seeds: 0, unsound: [] }
  const scenarios = draw(first, seeds, { nodes, minutes })
  await playAll(scenarios, { threads: 1, mutant }, ({ seed, broken }, scenario) => {
    found.seeds++
    if (broken === undefined) return false
    if (play(scenario).broken === undefined) Object.assign(found, { seed, broken })
    else found.unsound.push(seed)
    return found.seed !== undefined
  })
  return found
}

/** So many of them side by side, each told once it is over, in no promised order. */
export async function biteAll(
  mutants: readonly Mutant[],
  { threads, ...size }: Size & { threads: number },
  onBite: (bite: Bite) => void
): Promise<void> {
  const left = mutants.values()
  const one = async () => {
    for (const mutant of left) onBite(await bite(mutant, size))
  }
  await Promise.all(Array.from({ length: threads }, one))
}

/** The scenarios of so many seeds. */
export function* draw(
  first: number,
  count: number,
  size: { nodes: number; minutes: number; whole?: boolean }
) {
  for (let seed = first; seed < first + count; seed++) yield drawScenario({ seed, ...size })
}
