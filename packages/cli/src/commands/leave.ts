/** `cairn leave`: the node of this home leaves for good, handing over what it holds first. */
import type { Command } from 'commander'
import { EXIT } from '../failure.ts'
import { plural, size } from '../format.ts'
import { act, type Program, type Session } from '../session.ts'

export function addLeave(root: Command, program: Program): void {
  root
    .command('leave')
    .summary('leave the network for good, handing over what is held')
    .description(
      'The node hands over what it holds, says that it leaves, and stops. ' +
        'To come back later, use stop instead.'
    )
    .action(act(program, leave))
}

async function leave(session: Session): Promise<number> {
  const { out, signal } = session
  const client = await session.client()
  const { name } = await client.node()
  await client.leave({
    signal,
    onProgress: ({ blocks, bytes }) =>
      out.live.show(() => `handing over: ${plural(blocks, 'block')} left, ${size(bytes)}`)
  })
  out.result({ left: name }, () => `${name} has left`)
  return EXIT.ok
}
