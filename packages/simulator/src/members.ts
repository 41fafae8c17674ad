/** Simulated nodes whose core is membership alone, and what the tests and measurements ask of them. */

import {
  type Config,
  configure,
  createMembership,
  deadline,
  decode,
  encode,
  enterKnown,
  equalBytes,
  GOSSIP_LIMITS,
  type Gossip,
  gossipCodec,
  type Known,
  type Member,
  type MemberState,
  type Membership,
  type MembershipAction,
  type MembershipEvent,
  members,
  type PeerId,
  SIGNATURE_BYTES,
  step,
  toUtf8
} from '@cairn/core'
import type { Link } from './network.ts'
import { createSimulation, feed, nodeOf, peerOf, runUntil, type Simulation } from './run.ts'

/** A change of mind of one node about another. */
export interface Verdict {
  atMs: number
  by: number
  of: number
  state: MemberState
}

export interface MembersOptions {
  seed: number
  nodes: number
  link: Link
  config?: Partial<Config>
}

export interface Members extends Simulation<Gossip, MembershipEvent, MembershipAction> {
  /** Of each node: its membership in its present life. */
  readonly states: Membership[]
  readonly verdicts: Verdict[]
}

export function simulateMembers({ seed, nodes, link, config }: MembersOptions): Members {
  const states: Membership[] = []
  const verdicts: Verdict[] = []
  const configured = configure(config)
  const sim = createSimulation<Gossip, MembershipEvent, MembershipAction>({
    seed,
    nodes,
    link,
    wire: {
      encode: (message) => encode(gossipCodec, message),
      decode: (bytes) => decode(gossipCodec, bytes)
    },
    messageBytesMax: GOSSIP_LIMITS.messageBytes,
    create(node, _life, random, nowMs) {
      const id = peerOf(node)
      const options = {
        id,
        facts: factsOf(node),
        incarnation: 0,
        config: configured,
        random,
        crypto: seals(id)
      }
      const state = createMembership(options, nowMs)
      states[node] = state
      return { step: (event, at) => step(state, event, at), deadline: () => deadline(state) }
    },
    observe(by, action, atMs) {
      if (action.type !== 'member' || action.member.state === action.was) return
      verdicts.push({ atMs, by, of: nodeOf(action.member.id), state: action.member.state })
    }
  })
  return Object.assign(sim, { states, verdicts })
}

export function factsOf(node: number) {
  const addresses = [peerOf(node) as string]
  const none = { zone: undefined, name: undefined, http: undefined }
  return { addresses, capacity: 2 ** 40, full: false, version: '0.1.0', ...none }
}

/** Signatures that only tell signers apart: nobody forges here, and Ed25519 would take most of the time. */
export function seals(id: PeerId) {
  return {
    sign: (bytes: Uint8Array) => seal(id, bytes),
    verify: (by: PeerId, bytes: Uint8Array, signature: Uint8Array) => equalBytes(seal(by, bytes), signature)
  }
}

function seal(by: PeerId, bytes: Uint8Array): Uint8Array {
  let hash = 0x811c9dc5 // FNV-1a
  for (const part of [toUtf8(by), bytes]) {
    for (let i = 0; i < part.length; i++) hash = Math.imul(hash ^ (part[i] as number), 0x01000193)
  }
  const signature = new Uint8Array(SIGNATURE_BYTES)
  signature.set(toUtf8(`${by} ${hash >>> 0}`).subarray(0, SIGNATURE_BYTES))
  return signature
}

/**
 * All know all, as after a gathering that is long over: of ten thousand each would hear ten thousand. What
 * each knows of a member is one and the same until it changes.
 */
export function acquaint({ states }: Members): void {
  const own = states.map(({ self, table }) => table.known.get(self) as Known)
  for (const { table, self, rumours } of states) {
    rumours.levels.length = 0 // nobody talks of it any more
    rumours.size = 0
    for (const known of own) if (known.member.id !== self) enterKnown(table, known)
  }
}

/** Everyone joins through node 0, and all come to know all. @throws Error when they do not */
export function gather(sim: Members, limitMs = 60_000): number {
  for (let node = 1; node < sim.nodes.length; node++) {
    feed(sim, node, { type: 'join', addresses: [peerOf(0)] })
  }
  const tookMs = runUntil(sim, limitMs, () => sim.states.every((_, node) => sees(sim, node, 'alive')))
  if (tookMs === undefined) throw new Error(`seed ${sim.options.seed}: not gathered in ${limitMs} ms`)
  return tookMs
}

export function memberAt(sim: Members, by: number, of: number): Member | undefined {
  return sim.states[by]?.table.known.get(peerOf(of))?.member
}

/** Whether node `by` sees all that are up, or those given, in this state. */
export function sees(sim: Members, by: number, state: MemberState, of?: readonly number[]): boolean {
  const others = of ?? [...sim.nodes.keys()].filter((node) => sim.nodes[node]?.up)
  return others.every((other) => other === by || memberAt(sim, by, other)?.state === state)
}

/** Whether all nodes that are up and running, but for `except`, see `of` in this state. */
export function allSee(
  sim: Members,
  of: number,
  state: MemberState,
  except: readonly number[] = []
): boolean {
  return sim.nodes.every(
    ({ up }, by) => !up || by === of || except.includes(by) || memberAt(sim, by, of)?.state === state
  )
}

/** Verdicts of death since a time, but for those about `dead`. */
export function falseDeaths(sim: Members, sinceMs: number, dead: readonly number[] = []): Verdict[] {
  return sim.verdicts.filter(
    ({ state, atMs, of, by }) =>
      state === 'dead' && atMs >= sinceMs && !dead.includes(of) && !dead.includes(by)
  )
}

/** What a node knows, the same text for the same table. */
export function tableOf(sim: Members, node: number): string {
  const state = sim.states[node]
  if (state === undefined) return ''
  const lines = members(state).map(({ id, state: is, incarnation }) => `${id} ${is} ${incarnation}`)
  return lines.sort().join('\n')
}
