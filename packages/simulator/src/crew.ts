/** Threads that play scenarios side by side, each with the same bug planted, or none. */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { Mutant } from './mutants.ts'
import type { Outcome } from './play.ts'
import type { Scenario } from './scenario.ts'

/** What a thread allocates dies young: room for it keeps the collector away. V8 gives 16 by itself. */
const YOUNG_MIB = 64
/** More threads than this are not started, whatever the machine. */
const THREADS_MAX = 64

/** As many threads as there is something to run on. */
export function threadsOf(asked: number | undefined): number {
  return Math.max(1, Math.min(THREADS_MAX, asked ?? availableParallelism()))
}

export interface Crew {
  play(scenario: Scenario): Promise<Outcome>
  close(): Promise<void>
}

/** One thread; what it is asked is played in order. */
export function startCrew(mutant: Mutant | undefined): Crew {
  const worker = new Worker(new URL(import.meta.url.replace(/crew(\.\w+)$/, 'worker$1')), {
    workerData: { mutant },
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB }
  })
  const waiting: { resolve: (outcome: Outcome) => void; reject: (error: Error) => void }[] = []
  worker.on('message', (outcome: Outcome) => waiting.shift()?.resolve(outcome))
  worker.on('error', (error: Error) => {
    for (const { reject } of waiting.splice(0)) reject(error)
  })
  return {
    play: (scenario) =>
      new Promise((resolve, reject) => {
        waiting.push({ resolve, reject })
        worker.postMessage(scenario)
      }),
    close: async () => {
      await worker.terminate()
    }
  }
}

/**
 * Plays scenarios until there are no more, or one ends it: the first to return true. Each thread takes the
 * next that nobody has taken.
 */
export async function playAll(
  scenarios: Iterator<Scenario>,
  { threads, mutant }: { threads: number; mutant: Mutant | undefined },
  onOutcome: (outcome: Outcome, scenario: Scenario) => boolean
): Promise<void> {
  let isOver = false
  const one = async () => {
    const crew = startCrew(mutant)
    try {
      for (;;) {
        const next = isOver ? undefined : scenarios.next()
        if (next === undefined || next.done === true) return
        if (onOutcome(await crew.play(next.value), next.value)) isOver = true
      }
    } finally {
      await crew.close()
    }
  }
  await Promise.all(Array.from({ length: threads }, one))
}
