/**
 * Which threads of the process go first where there are fewer cores than work: the event loop, which answers
 * probes. All others (V8's, libuv's, those that hash) come after it. Linux only, the one system where a
 * thread has a priority of its own.
 */
import { existsSync, readdirSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'

/**
 * Ten instead of none: an event loop waits a quarter less for a core while three nodes and a put share two
 * (`npm run bench -- probes`), with five an eighth less. Nobody is starved: it is a weight, not an order.
 */
const NICER = 10
const NICEST = 19
/** Where Linux lists a process's threads. */
const TASKS = '/proc/self/task'

/** For a process that is a node and nothing else, once it runs. Threads that hash see to it themselves. */
export function putLoopFirst(): void {
  if (process.platform !== 'linux' || !existsSync(TASKS)) return
  const nicer = Math.min(NICEST, getPriority(0) + NICER)
  for (const thread of readdirSync(TASKS).map(Number)) {
    if (thread === process.pid) continue
    try {
      setPriority(thread, Math.max(nicer, getPriority(thread)))
    } catch {
      // it has ended, or the system does not let us: then it is as before
    }
  }
}
