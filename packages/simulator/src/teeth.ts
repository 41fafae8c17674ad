/** Whether the checks find each planted bug, and how soon: seed after seed until one breaks. */
import { playAll } from './crew.ts'
import type { Mutant } from './mutants.ts'
import { drawScenario } from './scenario.ts'

export interface Bite {
  name: string
  /** The seed that found it; undefined when none did. */
  seed: number | undefined
  broken: string | undefined
  seeds: number
}

export async function bite(
  mutant: Mutant,
  {
    first,
    seeds,
    nodes,
    minutes,
    threads
  }: Record<'first' | 'seeds' | 'nodes' | 'minutes' | 'threads', number>
): Promise<Bite> {
  const found: Bite = { name: mutant.name, seed: undefined, broken: undefined, seeds: 0 }
  await playAll(draw(first, seeds, { nodes, minutes }), { threads, mutant }, ({ seed, broken }) => {
    found.seeds++
    if (broken !== undefined && found.seed === undefined) Object.assign(found, { seed, broken })
    return broken !== undefined
  })
  return found
}

/** The scenarios of so many seeds. */
export function* draw(first: number, count: number, size: { nodes: number; minutes: number }) {
  for (let seed = first; seed < first + count; seed++) yield drawScenario({ seed, ...size })
}
