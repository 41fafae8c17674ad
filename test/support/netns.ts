/**
 * A network namespace beside this one, with a veth pair between them, and ways to cut it: what two machines
 * and a cable would be. Needs root, iproute2 and nftables.
 */
import { execFileSync } from 'node:child_process'
import type { Node, World } from './nodes.ts'

export interface Space {
  /** The namespace, for `ip netns exec`. */
  name: string
  /** This side's address, and the other's. */
  outer: string
  inner: string
  /** The interface in the namespace. */
  device: string
}

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

/** Why there can be none here; undefined where there can. */
export const WHY_NO_SPACES: string | undefined = whyNot()

function whyNot(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces need Linux'
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  for (const [program, flag] of [['ip', '-V'] as const, ['nft', '--version'] as const]) {
    try {
      run(program, flag)
    } catch {
      return `${program} is not installed`
    }
  }
  const name = nameOf(0)
  try {
    run('ip', 'netns', 'add', name)
    run('ip', 'netns', 'del', name)
    return undefined
  } catch (error) {
    return `no network namespace can be made here: ${(error as Error).message.split('\n').at(-1)}`
  }
}

function nameOf(k: number): string {
  return `cairn-${process.pid}-${k}`
}

let made = 0

/** Gives a namespace that is gone at the end, with its interfaces and rules. */
export async function spaces(use: (space: Space) => Promise<void>): Promise<void> {
  const k = ++made
  const name = nameOf(k)
  // 198.18.0.0/15 is set aside for tests of networks (RFC 2544), so that nobody's own is in the way
  const prefix = `198.18.${process.pid % 256}`
  const space = { name, outer: `${prefix}.${4 * k + 1}`, inner: `${prefix}.${4 * k + 2}`, device: 'eth0' }
  const outside = `cv${process.pid}-${k}`
  try {
    run('ip', 'netns', 'add', name)
    run('ip', 'link', 'add', outside, 'type', 'veth', 'peer', 'name', space.device, 'netns', name)
    run('ip', 'addr', 'add', `${space.outer}/30`, 'dev', outside)
    run('ip', 'link', 'set', outside, 'up')
    inside(space, 'ip', 'addr', 'add', `${space.inner}/30`, 'dev', space.device)
    inside(space, 'ip', 'link', 'set', space.device, 'up')
    inside(space, 'ip', 'link', 'set', 'lo', 'up')
    await use(space)
  } finally {
    run('ip', 'netns', 'del', name) // the pair goes with it
  }
}

export function inside(space: Space, ...command: string[]): void {
  run('ip', 'netns', 'exec', space.name, ...command)
}

/** Drops what comes in, or also what goes out; sockets stay open. Returns what heals it. */
export function cutOff(space: Space, way: 'in' | 'both'): () => void {
  const rule = (hook: string, match: string): string[] => [
    `chain ${hook} {`,
    `type filter hook ${hook} priority 0`,
    `meta ${match} "${space.device}" drop`,
    '}'
  ]
  const rules = [...rule('input', 'iifname'), ...(way === 'both' ? rule('output', 'oifname') : [])]
  inside(space, 'nft', ['table inet cut {', ...rules, '}'].join('\n'))
  return () => inside(space, 'nft', 'delete', 'table', 'inet', 'cut')
}

/** A node in the namespace that the others outside can reach. */
export function joined(world: World, space: Space, invite: string, name = 'far'): Promise<Node> {
  return world.start(name, { join: invite, netns: space.name, flags: ['--listen', `${space.inner}:0`] })
}
