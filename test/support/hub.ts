/**
 * Machines as network namespaces, each with a cable to one router, where packets between any two of them are
 * dropped, delayed by a slow cable, or let through. Needs root, iproute2 and nftables.
 */
import { execFileSync } from 'node:child_process'

export interface Hub {
  /** The namespace of each machine, for `ip netns exec`, and its address. */
  readonly machines: readonly { name: string; address: string }[]
  /** From now on packets from `from` to `to` are lost, so many of a hundred; nothing else is. */
  drop(rules: readonly { from: number; to: number; percent?: number }[]): void
  /** A machine's cable carries so many kbit/s each way; undefined: as many as can be. */
  slow(machine: number, kbit: number | undefined): void
}

/** A full queue may hold so much before packets are lost, ms of the slow cable. */
const QUEUE_MS = 400
const BURST_BYTES = 16 * 1024

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

let made = 0

/** So many machines, gone at the end with all that is in them. */
export async function hub(count: number, use: (hub: Hub) => Promise<void>): Promise<void> {
  const tag = `cairn-${process.pid}-h${++made}`
  const router = `${tag}r`
  // 198.18.0.0/15 is set aside for tests of networks (RFC 2544); these are in namespaces of their own
  const machines = Array.from({ length: count }, (_, i) => {
    return { name: `${tag}-${i}`, address: `198.19.${i}.2`, gateway: `198.19.${i}.1`, device: `to${i}` }
  })
  const inside = (name: string, ...command: string[]): void => run('ip', 'netns', 'exec', name, ...command)
  try {
    run('ip', 'netns', 'add', router)
    inside(router, 'sysctl', '-qw', 'net.ipv4.ip_forward=1')
    for (const { name, address, gateway, device } of machines) {
      run('ip', 'netns', 'add', name)
      run('ip', '-n', router, 'link', 'add', device, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
      run('ip', '-n', router, 'addr', 'add', `${gateway}/30`, 'dev', device)
      run('ip', '-n', router, 'link', 'set', device, 'up')
      run('ip', '-n', name, 'addr', 'add', `${address}/30`, 'dev', 'eth0')
      for (const link of ['lo', 'eth0']) run('ip', '-n', name, 'link', 'set', link, 'up')
      run('ip', '-n', name, 'route', 'add', 'default', 'via', gateway)
    }
    const at = (i: number) => machines[i] as (typeof machines)[0]
    await use({
      machines,
      drop(rules) {
        const lines = rules.map(({ from, to, percent = 100 }) => {
          const by = percent === 100 ? '' : `numgen random mod 100 < ${percent} `
          return `ip saddr ${at(from).address} ip daddr ${at(to).address} ${by}drop`
        })
        const chain = ['chain forward {', 'type filter hook forward priority 0', ...lines, '}']
        inside(
          router,
          'nft',
          ['table ip cut', 'delete table ip cut', 'table ip cut {', ...chain, '}'].join('\n')
        )
      },
      slow(machine, kbit) {
        for (const [name, device] of [
          [at(machine).name, 'eth0'] as const,
          [router, at(machine).device] as const
        ]) {
          const shape = [`rate`, `${kbit}kbit`, 'burst', `${BURST_BYTES}`, 'latency', `${QUEUE_MS}ms`]
          if (kbit === undefined) inside(name, 'tc', 'qdisc', 'del', 'dev', device, 'root')
          else inside(name, 'tc', 'qdisc', 'replace', 'dev', device, 'root', 'tbf', ...shape)
        }
      }
    })
  } finally {
    for (const name of [...machines.map(({ name }) => name), router]) {
      try {
        run('ip', 'netns', 'del', name)
      } catch {
        // it was never made
      }
    }
  }
}
