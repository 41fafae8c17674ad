/** `cairn rm`: the pin of a CID ends. */
import type { Command } from 'commander'
import { act, type Program } from '../session.ts'
import { removePin } from './pin.ts'

export function addRm(root: Command, program: Program): void {
  root
    .command('rm')
    .argument('<CID>')
    .summary('keep a CID no longer (same as pin rm)')
    .action(act(program, (session, command) => removePin(session, (command.processedArgs as [string])[0])))
}
