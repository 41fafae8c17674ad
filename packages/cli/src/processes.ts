/** Waiting for what happens elsewhere, and ending processes. */
import { setTimeout as wait } from 'node:timers/promises'
import { isAlive } from './home.ts'

/** Between looks at a condition unless told, ms: for what costs next to nothing to look at. */
const LOOK_MS = 50

export interface Limits {
  limitMs: number
  /** Between looks. */
  everyMs?: number
  signal?: AbortSignal | undefined
}

/** Looks again and again until `look` gives a value. `undefined` when the limit comes first. */
export async function until<T>(
  look: () => Promise<T | undefined> | T | undefined,
  { limitMs, everyMs = LOOK_MS, signal }: Limits
): Promise<T | undefined> {
  const endMs = performance.now() + limitMs
  for (;;) {
    signal?.throwIfAborted()
    const seen = await look()
    if (seen !== undefined) return seen
    if (performance.now() >= endMs) return undefined
    await wait(everyMs)
  }
}

/** False when the process still lives at the limit. */
export async function untilGone(pid: number, limitMs: number): Promise<boolean> {
  return (await until(() => (isAlive(pid) ? undefined : true), { limitMs })) === true
}

/** Sends a signal; false when the process was gone already. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}
