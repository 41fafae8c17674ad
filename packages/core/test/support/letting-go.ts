/**
 * All that can happen to one block while its holders let go of their copies: every interleaving of
 * requests, answers, readings, deletions, timeouts and restarts, with views that differ (anybody may ask
 * everyone at any time) and a network that delays, repeats, reorders and loses. Breadth first over the real
 * functions of `release.ts`, with the bugs that a test plants.
 */
import {
  type Copy,
  cancel,
  createReleases,
  onGone,
  onPromise,
  onRelease,
  onVerified,
  openAttempt,
  type ReleaseAction,
  type ReleaseMessage,
  type Releases
} from '../../src/release.ts'
import { CONFIG, keyIn, peer } from './data.ts'

export type Bug =
  /** Numbers of attempts begin again with each run. */
  | 'numbers-repeat'
  /** Promises are given while one's own attempt is open. */
  | 'promise-in-attempt'
  /** A promise counts for whatever attempt is open. */
  | 'promise-for-any-attempt'
  /** A promise is kept for a while, by its giver's clock and memory, and given in an attempt too. */
  | 'leases'

export interface Scope {
  members: number
  replicas: number
  /** Attempts, restarts, and fetches by who let a copy go, in all; without end if left out. */
  attempts?: number
  restarts?: number
  fetches?: number
  /**
   * Mail of attempts that are over is looked at when they end, found to change nothing, and not carried
   * along: so that any number of attempts has finitely many states.
   */
  forgetful: boolean
  bug?: Bug
  /** More states than this are not looked at. */
  statesMax: number
}

interface Member {
  releases: Releases
  has: boolean
  /** It will delete; the store has not done so yet. */
  deleting: boolean
  leased: boolean
}

interface State {
  members: readonly Member[]
  /** Whatever was ever sent may arrive at any time, any number of times, or never. By name, in order. */
  sent: readonly Mail[]
  left: { attempts: number; restarts: number; fetches: number }
  trace: Step | undefined
}

interface Mail {
  name: string
  from: number
  to: number
  message: ReleaseMessage
}

interface Step {
  what: string
  before: Step | undefined
}

const KEY = keyIn(7)
const lifeOf = (n: number) => String(n).padStart(16, '0')
const CLAIMS = [{ claimant: 'aa'.repeat(33), sequence: 1, live: true }]

/** Looks at every state. `lost` is the way to one with fewer than N copies, if there is any. */
export function explore(scope: Scope): { states: number; lost: string[] | undefined; letGo: number } {
  const first = initial(scope)
  const seen = new Set([fingerprint(first, scope)])
  let queue = [first]
  let letGo = 0
  while (queue.length > 0) {
    const next: State[] = []
    for (const state of queue) {
      for (const one of successors(state, scope)) {
        if (scope.forgetful) forgetOld(one)
        const print = fingerprint(one, scope)
        if (seen.has(print)) continue
        seen.add(print)
        if (seen.size > scope.statesMax) throw new Error(`more than ${scope.statesMax} states`)
        const copies = one.members.filter(({ has }) => has).length
        if (copies < scope.replicas) return { states: seen.size, lost: wayTo(one), letGo }
        if (copies < scope.members) letGo++
        next.push(one)
      }
    }
    queue = next
  }
  return { states: seen.size, lost: undefined, letGo }
}

function wayTo({ trace }: State): string[] {
  const way: string[] = []
  for (let step = trace; step !== undefined; step = step.before) way.unshift(step.what)
  return way
}

const ENDLESS = Number.POSITIVE_INFINITY

function initial(scope: Scope): State {
  const { members, attempts = ENDLESS, restarts = ENDLESS, fetches = ENDLESS } = scope
  return {
    members: Array.from({ length: members }, (_, n) => {
      return {
        releases: createReleases(peer(n), lifeOf(0), CONFIG),
        has: true,
        deleting: false,
        leased: false
      }
    }),
    sent: [],
    left: { attempts, restarts, fetches },
    trace: undefined
  }
}

/** A state after this one, and the member that may be changed in it. */
function after(state: State, n: number, what: string): { next: State; own: Member } {
  const before = state.members[n] as Member
  const own = { ...before, releases: copyReleases(before.releases) }
  const members = state.members.map((member, i) => (i === n ? own : member))
  const trace = { what: `${n} ${what}`, before: state.trace }
  return { next: { members, sent: state.sent, left: { ...state.left }, trace }, own }
}

function copyReleases(releases: Releases): Releases {
  const copies = [...releases.copies].map(([key, copy]) => {
    return [key, { ...copy, promised: new Set(copy.promised) }] as const
  })
  const checks = [...releases.checks].map(([token, check]) => {
    return [token, { ...check, keys: new Set(check.keys) }] as const
  })
  return {
    ...releases,
    copies: new Map(copies),
    attempts: new Map(releases.attempts),
    checks: new Map(checks)
  }
}

const prints = new WeakMap<Member, string>()

/** Equal for states from which the same can happen. Tokens only tell requests apart. */
function fingerprint({ members, sent, left }: State, { forgetful }: Scope): string {
  const parts = members.map((member) => {
    const known = prints.get(member) ?? printOf(member, forgetful)
    prints.set(member, known)
    return known
  })
  // With no mail of old attempts, a number tells no more than that an attempt is open.
  const mail = sent.map(({ name, message, from, to }) => (forgetful ? `${message.type} ${from} ${to}` : name))
  return [...parts, mail.sort().join(), left.attempts, left.restarts, left.fetches].join('|')
}

function printOf({ releases, has, deleting, leased }: Member, forgetful: boolean): string {
  const own = releases.copies.get(KEY)
  const attempt = own && `${[...own.promised].sort().join()} ${own.going}`
  const checks = [...releases.checks.values()].map(({ to, message, keys }) => {
    return [to, keys.size, forgetful || `${message.life} ${message.attempt}`].join(' ')
  })
  const numbers = forgetful ? [] : [own?.attempt, releases.life, releases.nextAttempt]
  return [attempt, checks.join(), ...numbers, has, deleting, leased].join()
}

/** Drops what is about attempts that are over. @throws Error when some of it would still change something */
function forgetOld(state: State): void {
  const isOpen = (n: number, { life, attempt }: ReleaseMessage): boolean => {
    const { releases } = state.members[n] as Member
    return releases.life === life && releases.copies.get(KEY)?.attempt === attempt
  }
  state.sent = state.sent.filter(({ from, to, message, name }) => {
    if (isOpen(message.type === 'promise' ? to : from, message)) return true
    if (message.type === 'release') return false
    const releases = copyReleases((state.members[to] as Member).releases)
    const before = printOf({ ...(state.members[to] as Member), releases }, false)
    const done = onPromise(releases, peer(from), message)
    if (done.length > 0 || printOf({ ...(state.members[to] as Member), releases }, false) !== before) {
      throw new Error(`${name} counts after its attempt: ${wayTo(state).join('; ')}`)
    }
    return false
  })
  state.members = state.members.map((member) => {
    const old = [...member.releases.checks].filter(([, { to, message }]) => !isOpen(numberOf(to), message))
    if (old.length === 0) return member
    const releases = copyReleases(member.releases)
    for (const [token] of old) releases.checks.delete(token)
    return { ...member, releases }
  })
}

function numberOf(id: string): number {
  return Number(id.slice('peer-'.length))
}

function* successors(state: State, scope: Scope): Generator<State> {
  for (let n = 0; n < scope.members; n++) {
    yield* ownSteps(state, scope, n)
    yield* storeSteps(state, scope, n)
  }
  for (const mail of state.sent) yield* arrival(state, scope, mail)
}

/** What a member does by itself: begins, gives up, starts again, fetches. */
function* ownSteps(state: State, scope: Scope, n: number): Generator<State> {
  const { releases, has, leased } = state.members[n] as Member
  const { attempts, restarts, fetches } = state.left
  const isIn = releases.copies.has(KEY)
  if (has && attempts > 0 && !isIn && !leased) {
    // Everyone: to ask fewer is as if what the others say never arrived.
    yield asks(state, scope, n)
  }
  if (isIn && !(state.members[n] as Member).deleting) {
    const { next, own } = after(state, n, 'gives up')
    cancel(own.releases, KEY)
    yield next
  }
  if (leased) {
    const { next, own } = after(state, n, 'forgets its promise')
    own.leased = false
    yield next
  }
  if (restarts > 0) {
    const { next, own } = after(state, n, 'restarts')
    next.left.restarts--
    const life = scope.bug === 'numbers-repeat' ? releases.life : lifeOf(Number(releases.life) + 1)
    Object.assign(own, { releases: createReleases(peer(n), life, CONFIG), deleting: false, leased: false })
    yield next
  }
  if (!has && fetches > 0 && !isIn) {
    const { next, own } = after(state, n, 'fetches it')
    next.left.fetches--
    own.has = true
    yield next
  }
}

function asks(state: State, { members, replicas }: Scope, n: number): State {
  const { next, own } = after(state, n, 'asks')
  const others = Array.from({ length: members }, (_, i) => i).filter((i) => i !== n)
  next.left.attempts--
  const copy: Copy = { key: KEY, replicas, claims: CLAIMS }
  act(next, n, openAttempt(own.releases, [{ copy, others: others.map(peer) }], 0))
  return next
}

/** What the disk does in its time: tells what it has read, deletes. */
function* storeSteps(state: State, { bug, replicas }: Scope, n: number): Generator<State> {
  const { releases, deleting } = state.members[n] as Member
  for (const token of releases.checks.keys()) {
    const { next, own } = after(state, n, 'answers')
    const known = new Map([[KEY, { held: true, replicas, claims: CLAIMS }]])
    const { actions } = onVerified(own.releases, { token, known })
    if (bug === 'leases' && actions.length > 0) own.leased = true
    act(next, n, actions)
    yield next
  }
  if (deleting) {
    const { next, own } = after(state, n, 'DELETES')
    Object.assign(own, { deleting: false, has: false })
    onGone(own.releases, [KEY])
    yield next
  }
}

function* arrival(state: State, scope: Scope, { name, from, to, message }: Mail): Generator<State> {
  const { releases, has, deleting } = state.members[to] as Member
  if (message.type === 'promise') {
    const { next, own } = after(state, to, `hears: ${name}`)
    const actions = onPromise(own.releases, peer(from), counted(own.releases, message, scope))
    own.deleting = deleting || actions.length > 0
    yield next
    return
  }
  // It reads its copy now; later, or a second time, is as if the request came later. Nothing is read of none.
  if (!has || releases.checks.size > 0) return
  for (const yields of releases.copies.has(KEY) ? [false, true] : [false]) {
    const { next, own } = after(state, to, `hears: ${name}${yields ? ', and gives way' : ''}`)
    const blind = scope.bug === 'promise-in-attempt' || scope.bug === 'leases'
    const aside = blind ? new Map(own.releases.copies) : undefined
    if (blind) own.releases.copies.clear()
    onRelease(own.releases, peer(from), message, () => yields)
    for (const [key, copy] of aside ?? []) own.releases.copies.set(key, copy)
    yield next
  }
}

type Promised = ReleaseMessage & { type: 'promise' }

/** As it is, but for the bug that does not look at numbers. */
function counted(releases: Releases, message: Promised, { bug }: Scope): Promised {
  const { attempt } = releases.copies.get(KEY) ?? message
  return bug === 'promise-for-any-attempt' ? { ...message, life: releases.life, attempt } : message
}

function act(state: State, n: number, actions: readonly ReleaseAction[]): void {
  for (const action of actions) {
    if (action.type !== 'send') continue
    const to = numberOf(action.to)
    const { type, life, attempt } = action.message
    const name = `${type} ${Number(life)}.${attempt} ${n} to ${to}`
    if (state.sent.some((mail) => mail.name === name)) continue
    const mail = { name, from: n, to, message: action.message }
    state.sent = [...state.sent, mail].sort((a, b) => (a.name < b.name ? -1 : 1))
  }
}
