/** `cairn join`: start a node that joins a network by one string, or by mDNS with none. */
import { text as readAll } from 'node:stream/consumers'
import type { Command } from 'commander'
import { runNode } from '../run-node.ts'
import { act, need, type Program } from '../session.ts'
import { nodeFlags, nodePlan } from './start.ts'

export function addJoin(root: Command, program: Program): void {
  const command = root
    .command('join')
    .argument(
      '[ADDRESS|INVITE]',
      'what `cairn invite` printed; - reads it from stdin, so that no shell remembers it'
    )
    .summary('run a node here that joins a network')
    .description(
      'Runs a node in the foreground that joins a network: by an invite, by the address of a member of an ' +
        'open network, or with neither by asking on the local network (mDNS).'
    )
  nodeFlags(command).action(
    act(program, async (session, command) => {
      const plan = await nodePlan(session, command)
      const [given] = command.args
      if (given === undefined) return runNode({ ...plan, mdns: true }, session)
      const join = (given === '-' ? await readAll(session.out.streams.stdin) : given).trim()
      need(join === '' ? undefined : join, 'stdin holds no invite', 'cairn invite | ssh HOST cairn join -')
      return runNode({ ...plan, join }, session)
    })
  )
}
