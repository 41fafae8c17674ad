/** One membership and its script: events in, actions out, by hand. Used by the tests of `step`. */
import {
  type Config,
  configure,
  createMembership,
  deadline,
  type Facts,
  type Gossip,
  type LivingMember,
  type Member,
  type Membership,
  type MembershipAction,
  type MembershipEvent,
  type PeerId,
  seeded,
  step,
  toUtf8
} from '@cairn/core'

export const peer = (name: string) => name as PeerId
export const NO_DIGEST = { a: 0, b: 0 }

export function factsOf(name: string): Facts {
  const none = { zone: undefined, name: undefined, http: undefined }
  return { addresses: [`/dns/${name}`], capacity: 1, full: false, version: '1', ...none }
}

export function alive(name: string, incarnation = 0): LivingMember {
  return { id: peer(name), incarnation, state: 'alive', ...factsOf(name) }
}

/** A signature that names the signer and the statement. */
export function sealOf(name: string, bytes: Uint8Array): Uint8Array {
  return Uint8Array.from([...toUtf8(name), ...bytes]).slice(0, 64)
}

export interface Scene {
  state: Membership
  nowMs: number
  /** The actions of the event, given at the present time. */
  on(event: MembershipEvent): MembershipAction[]
  hear(from: string, message: Gossip): MembershipAction[]
  /** Ticks on time until then; the actions of all ticks. */
  runTo(untilMs: number): MembershipAction[]
  member(name: string): Member | undefined
}

/** `me`, or another, knowing `others` and having told all of them. */
export function scene(others: string[] = [], config: Partial<Config> = {}, name = 'me'): Scene {
  const id = peer(name)
  const crypto = {
    sign: (bytes: Uint8Array) => sealOf(id, bytes),
    verify: (by: PeerId, bytes: Uint8Array, signature: Uint8Array) =>
      sealOf(by, bytes).join() === signature.join()
  }
  const options = { id, facts: factsOf(name), incarnation: 0, random: seeded(1), crypto }
  const state = createMembership({ ...options, config: configure(config) }, 0)
  const self: Scene = {
    state,
    nowMs: 0,
    on: (event) => step(state, event, self.nowMs),
    hear: (from, message) => self.on({ type: 'message', from: peer(from), message }),
    runTo(untilMs) {
      const actions: MembershipAction[] = []
      while (deadline(state) <= untilMs) {
        self.nowMs = Math.max(self.nowMs, deadline(state))
        actions.push(...self.on({ type: 'tick' }))
      }
      self.nowMs = untilMs
      return actions
    },
    member: (of) => state.table.known.get(peer(of))?.member
  }
  for (const other of others) {
    self.hear(other, { type: 'news', rumours: [{ type: 'facts', member: alive(other) }] })
    self.on({ type: 'connected', peer: peer(other) })
  }
  return self
}

type Sent<T extends Gossip['type']> = { to: PeerId; message: Extract<Gossip, { type: T }> }

export function sent<T extends Gossip['type']>(actions: MembershipAction[], type: T): Sent<T>[] {
  return actions.flatMap((action) =>
    action.type === 'send' && action.message.type === type ? [action as unknown as Sent<T>] : []
  )
}

/** Answers every ping in `actions` from members in `from`. */
export function answer(self: Scene, actions: MembershipAction[], from: string[]): MembershipAction[] {
  const answers = sent(actions, 'ping').filter(({ to }) => from.includes(to))
  return answers.flatMap(({ to, message: { seq } }) =>
    self.hear(to, { type: 'ack', seq, digest: NO_DIGEST, rumours: [] })
  )
}
