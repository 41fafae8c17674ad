/** Something done over and over beside a test, with what went wrong: reads and writes under faults. */

export interface Rounds {
  /** Ended well. */
  done: number
  errors: string[]
}

/** Begins at once; `end` waits for the round under way and tells. */
export function overAndOver(round: (i: number) => Promise<void>): { rounds: Rounds; end(): Promise<Rounds> } {
  const rounds: Rounds = { done: 0, errors: [] }
  let over = false
  const going = (async () => {
    for (let i = 0; !over; i++) {
      try {
        await round(i)
        rounds.done++
      } catch (error) {
        rounds.errors.push(error instanceof Error ? `${error.name}: ${error.message}` : String(error))
      }
    }
  })()
  return {
    rounds,
    async end() {
      over = true
      await going
      return rounds
    }
  }
}
