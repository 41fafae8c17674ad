/** `cairn stop`: end the node of this home cleanly. It keeps its data and returns with `cairn start`. */
import { CairnError } from '@cairn/core'
import type { Command } from 'commander'
import { readRunning } from '../home.ts'
import { untilGone } from '../processes.ts'
import { act, type Program } from '../session.ts'

/** Above what a node takes for its own clean stop, so that it is the node that gives up first. */
const STOP_WAIT_MS = 20_000

export function addStop(root: Command, program: Program): void {
  root
    .command('stop')
    .summary('stop the node of this home; its data stays')
    .action(
      act(program, async (session) => {
        const running = await readRunning(session.home)
        const client = await session.client() // says how to start one when none runs
        const { name } = await client.node()
        await client.stop()
        if (running !== undefined && !(await untilGone(running.pid, STOP_WAIT_MS))) {
          throw new CairnError('TIMEOUT', `process ${running.pid} still runs`, {
            hint: `kill -9 ${running.pid} loses nothing that was acknowledged`
          })
        }
        session.out.result({ stopped: name }, () => `stopped ${name}`)
        return undefined
      })
    )
}
