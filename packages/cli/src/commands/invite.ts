/** `cairn invite`: the one string that lets another machine join. */
import type { Command } from 'commander'
import { act, type Program } from '../session.ts'

export function addInvite(root: Command, program: Program): void {
  root
    .command('invite')
    .summary('print the string that lets another machine join')
    .description(
      'Prints one string that lets another machine join. It holds the secret of the network: keep it so.'
    )
    .action(
      act(program, async (session) => {
        const invite = await (await session.client()).invite()
        session.out.result({ invite }, () => invite)
        session.out.note(`On the other machine: cairn join ${session.out.prose('dim', '(the line above)')}`)
        return undefined
      })
    )
}
