/** A budget of bytes a second for work in the background: whoever spends waits until it is earned. */
const WAIT_MS_MAX = 1000

export class Pace {
  readonly #bytesPerSecond: () => number
  #owed = 0
  #sinceMs = performance.now()
  readonly #waiting = new Set<() => void>()
  #stopped = false

  constructor(bytesPerSecond: () => number) {
    this.#bytesPerSecond = bytesPerSecond
  }

  /** Resolves when `bytes`, spent already, are earned; at once after `stop`. */
  async spend(bytes: number): Promise<void> {
    this.#owed += bytes
    while (!this.#stopped) {
      const nowMs = performance.now()
      const rate = this.#bytesPerSecond()
      const earned = rate === Number.POSITIVE_INFINITY ? rate : ((nowMs - this.#sinceMs) / 1000) * rate
      this.#owed = Math.max(0, this.#owed - earned)
      this.#sinceMs = nowMs
      if (this.#owed === 0) return
      await this.#wait(Math.min(WAIT_MS_MAX, (this.#owed / rate) * 1000), true)
    }
  }

  /** Waits, but not past `stop` or `wake`, and without keeping the process alive. */
  wait(ms: number): Promise<void> {
    return this.#wait(ms, false)
  }

  #wait(ms: number, keepsAlive: boolean): Promise<void> {
    if (this.#stopped) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#waiting.delete(done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      if (!keepsAlive) timer.unref()
      this.#waiting.add(done)
    })
  }

  /** Ends whatever is being waited for. */
  wake(): void {
    for (const done of [...this.#waiting]) done()
  }

  get stopped(): boolean {
    return this.#stopped
  }

  stop(): void {
    this.#stopped = true
    this.wake()
  }
}
