/** `cairn start`: a node in the foreground. The first start makes a network, later ones return to it. */
import { CairnError } from '@cairn/core'
import { type Command, Option } from 'commander'
import {
  parseCount,
  parseDuration,
  parseHost,
  parseListen,
  parsePort,
  parseReplicas,
  parseSize
} from '../parse.ts'
import { collect } from '../program.ts'
import { type NodePlan, runNode } from '../run-node.ts'
import { act, type Program, type Session, setting } from '../session.ts'

/** Linux's largest process id. */
const PID_MAX = 2 ** 22

export interface StartOptions {
  open?: boolean
  join?: string
  whilePid?: number
}

export function addStart(root: Command, program: Program): void {
  const command = root
    .command('start')
    .summary('run a node here: alone in a new private network, or where it was before')
    .description(
      'Runs a node in the foreground, until Ctrl-C or `cairn stop`. In an empty home it makes a private ' +
        'network of its own, joined with an invite; with --join it joins one; later starts return to it.'
    )
    .option('--open', 'make a network that asks for nothing: any address of a member is enough to join')
    .addOption(new Option('--join <ADDRESS>', 'join by invite or address').env('CAIRN_JOIN'))
    .addOption(replicasOption())
  nodeFlags(command).action(
    act(program, async (session, command) => {
      const { open, join } = command.opts<StartOptions>()
      if (open === true && join !== undefined) {
        throw new CairnError('BAD_REQUEST', '--open makes a network and --join joins one', {
          hint: 'leave one of them out'
        })
      }
      const plan = await nodePlan(session, command)
      return runNode(
        join === undefined ? { ...plan, ...(await creation(session, command)) } : { ...plan, join },
        session
      )
    })
  )
}

export function replicasOption(): Option {
  return new Option('--replicas <N>', 'copies of every block')
    .env('CAIRN_REPLICAS')
    .argParser((text) => parseReplicas(text))
}

/** What `start` and `join` take alike. */
export function nodeFlags(command: Command): Command {
  return command
    .option(
      '--listen <ADDRESS>',
      'where members reach it, e.g. 0.0.0.0:4001; again for more (loopback)',
      (text, all) => collect(parseListen(text), all as unknown as string[] | undefined)
    )
    .addOption(
      new Option('--bulk-port <PORT>', 'where members send each other blocks (any free one)')
        .env('CAIRN_BULK_PORT')
        .argParser((text) => parsePort(text))
    )
    .addOption(
      new Option('--port <PORT>', 'of the HTTP interface (7401, or any free one)')
        .env('CAIRN_PORT')
        .argParser((text) => parsePort(text))
    )
    .addOption(
      new Option('--host <ADDRESS>', 'of the HTTP interface; others reach it there (127.0.0.1)')
        .env('CAIRN_HOST')
        .argParser((text) => parseHost(text))
    )
    .option('--free-reads', 'whoever reaches the HTTP interface may read without the token')
    .addOption(
      new Option('--capacity <SIZE>', 'at most so much of the disk, e.g. 200GB (half of what is free)')
        .env('CAIRN_CAPACITY')
        .argParser((text) => parseSize(text))
    )
    .addOption(new Option('--zone <ZONE>', 'what fails together: a house, a rack').env('CAIRN_ZONE'))
    .addOption(new Option('--name <NAME>', 'what people call it (two words of its own)').env('CAIRN_NAME'))
    .option('--mdns', 'find members on the local network, and be found')
    .addOption(
      new Option('--repair-delay <TIME>', 'before a block that lacks one copy is repaired (15s)')
        .env('CAIRN_REPAIR_DELAY')
        .argParser((text) => parseDuration(text))
    )
    .addOption(
      new Option('--while-pid <PID>', 'stop when that process ends')
        .argParser((text) => parseCount(text, 'a process id', { least: 1, most: PID_MAX }))
        .hideHelp()
    )
}

const PLANNED = [
  ...(['listen', 'port', 'host', 'freeReads', 'bulkPort'] as const),
  ...(['capacity', 'zone', 'name', 'mdns'] as const)
]

/** The parts of the plan that a later start needs too. */
export async function nodePlan(session: Session, command: Command): Promise<NodePlan> {
  const { whilePid } = command.opts<StartOptions>()
  const plan: Record<string, unknown> = { home: session.home, whilePid }
  for (const key of PLANNED) plan[key] = setting(session, command, key)
  plan.repairDelayMs = setting(session, command, 'repairDelay')
  return defined(plan) as unknown as NodePlan
}

async function creation(session: Session, command: Command): Promise<Pick<NodePlan, 'create'>> {
  const { open } = command.opts<StartOptions>()
  const replicas = setting(session, command, 'replicas')
  return { create: { open: open === true, ...(replicas === undefined ? {} : { replicas }) } }
}

/** Without the keys whose value is undefined: absent and undefined differ to whoever checks keys. */
function defined(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined))
}
