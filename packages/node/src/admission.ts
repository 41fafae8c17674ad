/**
 * Who may speak: `/cairn/hello/1`, on every connection before anything else. Both sides prove that they
 * know the network's secret by an HMAC (RFC 2104) over both peer ids, which the connection has already
 * authenticated, both nonces and the side, so that no proof fits another connection or comes back as the
 * other side's. An open network asks for nothing but its id. Each refusal says why.
 *
 *     dialler   opening   { version, role, network?, nonce }
 *     listener  challenge { version, network, open, nonce, proof? }         or a refusal
 *     dialler   answer    { proof?, addresses }                             or a refusal
 *     listener  welcome   { replicas, addresses }                           or a refusal
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import {
  bool,
  CairnError,
  type Codec,
  type Decoded,
  decode,
  encode,
  fixed,
  hex,
  list,
  NETWORK_ID_BYTES,
  oneOf,
  optional,
  type PeerId,
  PROTOCOL_VERSION,
  struct,
  text,
  toUtf8,
  u8,
  u16,
  union
} from '@cairn/core'
import type { Stream } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import type { Network } from './network.ts'

export const HELLO_PROTOCOL = '/cairn/hello/1'
/** No message of a hello is longer. */
const HELLO_BYTES_MAX = 1_024
const NONCE_BYTES = 32
const PROOF_BYTES = 32
const ADDRESSES_MAX = 8
const ADDRESS_BYTES_MAX = 100

/** What a connection is for: control never waits behind bulk. */
export const ROLES = ['control', 'bulk'] as const
export type Role = (typeof ROLES)[number]

/** What a node knows of its network when it says hello: nothing yet, an invite's part, or all. */
export type Credentials = Partial<Network>

const REASONS = ['version', 'network', 'secret', 'unready'] as const
type Reason = (typeof REASONS)[number]

const proof = optional(fixed(PROOF_BYTES))
const addresses = list(text(ADDRESS_BYTES_MAX), ADDRESSES_MAX)

const message = union(
  {
    opening: struct({
      role: oneOf(ROLES),
      network: optional(hex(NETWORK_ID_BYTES)),
      nonce: fixed(NONCE_BYTES)
    }),
    challenge: struct({ network: hex(NETWORK_ID_BYTES), open: bool, nonce: fixed(NONCE_BYTES), proof }),
    answer: struct({ proof, addresses }),
    welcome: struct({ replicas: u8, addresses }),
    refusal: struct({ reason: oneOf(REASONS), network: optional(hex(NETWORK_ID_BYTES)) })
  },
  { opening: 1, challenge: 2, answer: 3, welcome: 4, refusal: 5 }
)
export type Hello = Decoded<typeof message>
/** What a message of a hello looks like on the wire. */
export const helloCodec: Codec<{ version: number; hello: Hello }> = struct({ version: u16, hello: message })

/** What the two ends learn of each other. */
export interface Admitted {
  role: Role
  network: Network
  /** Where the other can be dialled, by its own account, without `/p2p`. */
  addresses: string[]
  /** Of the last exchange, ms. */
  rttMs: number
}

export interface HelloFacts {
  self: PeerId
  peer: PeerId
  credentials: Credentials
  addresses: readonly string[]
  /** Ends the hello. */
  signal: AbortSignal
  /** What this node says it speaks; another only in tests. */
  version?: number
}

interface Line {
  say(hello: Hello): Promise<void>
  hear<T extends Hello['type']>(type: T): Promise<Extract<Hello, { type: T }>>
}

/**
 * The dialling side.
 * @throws CairnError WRONG_NETWORK, WRONG_SECRET, WRONG_VERSION, BUSY, BAD_MESSAGE, TIMEOUT, UNREACHABLE
 */
export async function sayHello(stream: Stream, role: Role, facts: HelloFacts): Promise<Admitted> {
  const line = lineOf(stream, facts)
  const { credentials: own } = facts
  const nonce = randomBytes(NONCE_BYTES)
  await line.say({ type: 'opening', role, network: own.id, nonce })
  const challenge = await line.hear('challenge')
  if (own.id !== undefined && own.id !== challenge.network) throw wrongNetwork(own.id, challenge.network)
  if (own.secret === undefined && !challenge.open) {
    await line.say({ type: 'refusal', reason: 'secret', network: undefined })
    throw noSecret(facts.peer)
  }
  const bound = {
    role,
    network: challenge.network,
    dialler: facts.self,
    listener: facts.peer,
    nonces: [nonce, challenge.nonce] as const
  }
  if (own.secret !== undefined && !proves(challenge.proof, own.secret, 'listener', bound)) {
    await line.say({ type: 'refusal', reason: 'secret', network: undefined })
    throw wrongSecret(facts.peer)
  }
  const mine = own.secret === undefined ? undefined : prove(own.secret, 'dialler', bound)
  const askedMs = performance.now()
  await line.say({ type: 'answer', proof: mine, addresses: said(facts.addresses) })
  const welcome = await line.hear('welcome')
  const rttMs = performance.now() - askedMs
  const { network: id, open } = challenge
  const secret = own.secret === undefined ? {} : { secret: own.secret }
  return {
    role,
    network: { id, open, replicas: welcome.replicas, ...secret },
    addresses: welcome.addresses,
    rttMs
  }
}

/**
 * The listening side; the dialler is in when it resolves. `admit` is called before the dialler learns of
 * it, so that nothing it sends next finds itself refused.
 * @throws CairnError as `sayHello`; the dialler was told the reason
 */
export async function hearHello(
  stream: Stream,
  facts: HelloFacts,
  admit: (admitted: Admitted) => void
): Promise<void> {
  const line = lineOf(stream, facts)
  const { id, open, replicas, secret } = facts.credentials
  const opening = await line.hear('opening')
  const refuse = async (reason: Reason, error: CairnError): Promise<never> => {
    await line.say({ type: 'refusal', reason, network: id })
    throw error
  }
  if (id === undefined || open === undefined || replicas === undefined) {
    return refuse('unready', new CairnError('BUSY', 'this node has not joined a network yet'))
  }
  if (opening.network === undefined && !open) return refuse('secret', noSecret(facts.peer))
  if (opening.network !== undefined && opening.network !== id) {
    return refuse('network', wrongNetwork(id, opening.network))
  }
  const { role, nonce: theirs } = opening
  const nonce = randomBytes(NONCE_BYTES)
  const bound = {
    role,
    network: id,
    dialler: facts.peer,
    listener: facts.self,
    nonces: [theirs, nonce] as const
  }
  const mine = secret === undefined ? undefined : prove(secret, 'listener', bound)
  const askedMs = performance.now()
  await line.say({ type: 'challenge', network: id, open, nonce, proof: mine })
  const answer = await line.hear('answer')
  const rttMs = performance.now() - askedMs
  if (secret !== undefined && !proves(answer.proof, secret, 'dialler', bound)) {
    return refuse('secret', wrongSecret(facts.peer))
  }
  const network = { id, open, replicas, ...(secret === undefined ? {} : { secret }) }
  admit({ role, network, addresses: answer.addresses, rttMs })
  await line.say({ type: 'welcome', replicas, addresses: said(facts.addresses) })
}

function said(own: readonly string[]): string[] {
  return own.filter((address) => address.length <= ADDRESS_BYTES_MAX).slice(0, ADDRESSES_MAX)
}

interface Bound {
  role: Role
  network: string
  dialler: PeerId
  listener: PeerId
  nonces: readonly [Uint8Array, Uint8Array]
}

const bindings = struct({
  domain: fixed(14),
  side: oneOf(['dialler', 'listener']),
  role: oneOf(ROLES),
  network: hex(NETWORK_ID_BYTES),
  dialler: text(64),
  listener: text(64),
  first: fixed(NONCE_BYTES),
  second: fixed(NONCE_BYTES)
})
const DOMAIN = toUtf8('cairn-hello/1\0')

function prove(secret: string, side: 'dialler' | 'listener', bound: Bound): Uint8Array {
  const [first, second] = bound.nonces
  const bytes = encode(bindings, { domain: DOMAIN, side, ...bound, first, second })
  return createHmac('sha256', Buffer.from(secret, 'base64url')).update(bytes).digest()
}

function proves(
  given: Uint8Array | undefined,
  secret: string,
  side: 'dialler' | 'listener',
  bound: Bound
): boolean {
  return given !== undefined && timingSafeEqual(given, prove(secret, side, bound))
}

/** Messages over a stream, each with the version in front, so that any version can say that it is another. */
function lineOf(stream: Stream, facts: HelloFacts): Line {
  const { peer, signal, version = PROTOCOL_VERSION } = facts
  const frames = lpStream(stream, { maxDataLength: HELLO_BYTES_MAX, maxBufferSize: 4 * HELLO_BYTES_MAX })
  const say = async (hello: Hello): Promise<void> => {
    await transfer(peer, signal, () => frames.write(encode(helloCodec, { version, hello }), { signal }))
  }
  return {
    say,
    async hear(type) {
      const bytes = (await transfer(peer, signal, () => frames.read({ signal }))).subarray()
      const spoken = decode(u16, bytes.subarray(0, 2))
      if (spoken !== version) {
        if (type === 'opening') await say({ type: 'refusal', reason: 'version', network: undefined })
        throw wrongVersion(peer, spoken, version)
      }
      const { hello } = decode(helloCodec, bytes)
      if (hello.type === 'refusal') throw refusalOf(hello, facts)
      if (hello.type === type) return hello as Extract<Hello, { type: typeof type }>
      throw new CairnError('BAD_MESSAGE', `${peer} said "${hello.type}" where "${type}" belongs`)
    }
  }
}

/** libp2p rejects with events and errors of many kinds: all mean that the other side is gone or silent. */
async function transfer<T>(peer: PeerId, signal: AbortSignal, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (cause) {
    if (signal.aborted) throw new CairnError('TIMEOUT', `${peer} did not finish its hello`, { cause })
    throw new CairnError('UNREACHABLE', `${peer} ended the connection during the hello`, { cause })
  }
}

function refusalOf(
  refusal: Extract<Hello, { type: 'refusal' }>,
  { peer, credentials: own }: HelloFacts
): CairnError {
  switch (refusal.reason) {
    case 'version':
      return new CairnError('WRONG_VERSION', `${peer} speaks another version of the protocol`)
    case 'network':
      return wrongNetwork(own.id, refusal.network)
    case 'secret':
      return own.secret === undefined ? noSecret(peer) : wrongSecret(peer)
    case 'unready':
      return new CairnError('BUSY', `${peer} has not joined a network itself yet`, {
        hint: 'try again shortly'
      })
  }
}

function wrongVersion(peer: PeerId, theirs: number, ours: number): CairnError {
  const hint = `update cairn ${theirs > ours ? 'on this machine' : 'on the other machine'}`
  const words = `${peer} speaks version ${theirs} of the protocol, this node version ${ours}`
  return new CairnError('WRONG_VERSION', words, { hint })
}

function wrongNetwork(ours: string | undefined, theirs: string | undefined): CairnError {
  const from = ours === undefined ? '' : `, this node of ${ours}`
  return new CairnError('WRONG_NETWORK', `that is a member of network ${theirs ?? 'unknown'}${from}`, {
    hint: 'join with an invite of the right network; one home belongs to one network'
  })
}

function wrongSecret(peer: PeerId): CairnError {
  return new CairnError('WRONG_SECRET', `${peer} and this node do not hold the same secret`, {
    hint: 'ask a member for a fresh invite: cairn invite'
  })
}

function noSecret(peer: PeerId): CairnError {
  return new CairnError(
    'WRONG_SECRET',
    `${peer} belongs to a private network: an address alone does not admit`,
    {
      hint: 'join with the whole line that `cairn invite` prints on a member'
    }
  )
}
