/**
 * The `cairn` command as commander knows it: global options, the list of commands, and usage errors in
 * the same shape as all others.
 */
import { CairnError } from '@cairn/core'
import { Command, CommanderError, Option } from 'commander'
import { addCar } from './commands/car.ts'
import { addCat } from './commands/cat.ts'
import { addCid } from './commands/cid.ts'
import { addCluster } from './commands/cluster.ts'
import { addFind } from './commands/find.ts'
import { addGc } from './commands/gc.ts'
import { addGet } from './commands/get.ts'
import { addInvite } from './commands/invite.ts'
import { addJoin } from './commands/join.ts'
import { addKey } from './commands/key.ts'
import { addLeave } from './commands/leave.ts'
import { addLs } from './commands/ls.ts'
import { addMirror } from './commands/mirror.ts'
import { addPeers } from './commands/peers.ts'
import { addPin } from './commands/pin.ts'
import { addPut } from './commands/put.ts'
import { addReceipts } from './commands/receipts.ts'
import { addRef } from './commands/ref.ts'
import { addRm } from './commands/rm.ts'
import { addScrub } from './commands/scrub.ts'
import { addStart } from './commands/start.ts'
import { addStat } from './commands/stat.ts'
import { addStatus } from './commands/status.ts'
import { addStop } from './commands/stop.ts'
import { addStore } from './commands/store.ts'
import { addSums } from './commands/sums.ts'
import { addUsage } from './commands/usage.ts'
import { addVerify } from './commands/verify.ts'
import { addVersion } from './commands/version.ts'
import { addWhatif } from './commands/whatif.ts'
import { parseDuration } from './parse.ts'
import type { Program } from './session.ts'

const FOOT = `
Exit codes: 0 ok · 1 failure · 2 usage · 3 no node reachable · 4 not found · 5 timeout or no provider ·
            6 stored but under-replicated · 7 integrity · 8 not allowed · 9 full · 130 Ctrl-C

First steps: cairn cluster start 5      five nodes on this machine
             echo hi | cairn put -      keep something on three of them
             cairn status               how safe it is`

/** In the order of the help. */
const GROUPS: [string, ((root: Command, program: Program) => void)[]][] = [
  ['Data:', [addPut, addGet, addCat, addLs, addRm, addPin, addCid, addCar]],
  ['Names:', [addRef, addMirror, addKey]],
  ['Checks:', [addStat, addFind, addSums, addVerify, addReceipts, addScrub]],
  ['Network:', [addStart, addJoin, addInvite, addPeers, addStatus, addWhatif, addLeave, addStop, addCluster]],
  ['Other:', [addUsage, addGc, addStore, addVersion]]
]

export function buildProgram(program: Program): Command {
  const root = new Command('cairn')
    .description('A block store without a centre: every block on N machines, repaired by itself')
    .option('--home <DIR>', 'where the node keeps its data (CAIRN_HOME; default ~/.cairn)')
    .option('--node <URL>', 'a node to talk to; again for others to fall back on (CAIRN_NODE)', collect)
    .option('--key <NAME>', "sign names with this key instead of the node's (CAIRN_KEY; see cairn key)")
    .option('--json', 'one JSON object a line on stdout, errors included')
    .option('-q, --quiet', 'no prose, no progress')
    .addOption(
      new Option('--timeout <TIME>', 'give up after, e.g. 30s').argParser((text) => parseDuration(text))
    )
    .option('--no-direct', 'ask the node for every block, not also its holders (CAIRN_DIRECT=0)')
    .option('--no-color', 'no colours (NO_COLOR)')
    .helpOption('-h, --help', 'help for a command')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', FOOT)
    .exitOverride()
    .configureOutput({ writeErr: () => {} }) // shown by main, in the shape of every other error
  for (const [heading, commands] of GROUPS) {
    root.commandsGroup(heading)
    for (const add of commands) add(root, program)
  }
  return root
}

export function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value]
}

/** Commander's own complaint, as an error with a next step; `undefined` when it was only asked for help. */
export function usageError(error: CommanderError, command: string): CairnError | undefined {
  if (error.exitCode === 0) return undefined
  if (error.code === 'commander.help') {
    return new CairnError('BAD_REQUEST', 'a command is missing', { hint: `${command} --help` })
  }
  const [, message = error.message, meant] =
    /^error: ([\s\S]*?)(?:\n\(Did you mean (?:one of )?(.*)\?\))?$/.exec(error.message) ?? []
  return new CairnError('BAD_REQUEST', message.trim(), {
    hint: meant === undefined ? `${command} --help` : `did you mean ${meant}?`
  })
}

export { CommanderError }
