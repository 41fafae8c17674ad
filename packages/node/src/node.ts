/**
 * `createNode`: opens a home, joins or makes its network, and keeps the core going until told to stop.
 * Embeddable: no signals, no output, no exit; what happens is told through `events`.
 */

import { randomInt } from 'node:crypto'
import { cidOfKey } from '@cairn/blocks'
import {
  type BlockKey,
  CairnError,
  type Core,
  type CoreAction,
  type CoreEvent,
  configure,
  createCore,
  DEFAULTS,
  type Facts,
  MEMBER_LIMITS,
  type RefOptions,
  seeded,
  trustedHeaders
} from '@cairn/core'
import { type DiskStore, openStore } from '@cairn/store'
import type { CairnNode, NodeEvent } from './api.ts'
import { broadcast } from './broadcast.ts'
import { blockBuffers } from './buffers.ts'
import type { ByteChannel } from './channel.ts'
import { type Claimer, claimerOf } from './claimer.ts'
import { checkOptions, defaultCapacity, LISTEN_DEFAULT, type NodeOptions } from './config.ts'
import { type Besides, openDamage } from './damage.ts'
import { type Ending, endingOf, withinLimit } from './ending.ts'
import { faceOf } from './face.ts'
import { hearTransport } from './hearing.ts'
import { type Home, openHome, type Settings } from './home.ts'
import { cryptoOf } from './identity.ts'
import { foundPeers, joinNetwork } from './joining.ts'
import { type MirrorFiles, openMirrorFiles } from './mirror-files.ts'
import { createNodeMirrors } from './mirrors.ts'
import { nameOf } from './names.ts'
import { type Network, newNetwork } from './network.ts'
import { perform } from './perform.ts'
import { createReads } from './reads.ts'
import { bulkServer } from './receive.ts'
import { openRefFiles, type RefFiles } from './ref-files.ts'
import { createNodeRefs } from './refs.ts'
import { lifeOf } from './release.ts'
import { roundTrips } from './round-trips.ts'
import { monotonicMs, startLoop } from './runtime.ts'
import { scrubOf } from './scrub.ts'
import { createNetworkScrubs } from './scrub-network.ts'
import type { BulkServer } from './serve.ts'
import type { Shell } from './shell.ts'
import { keptByOthers } from './spared.ts'
import { outOfRoom, startSummaries } from './summaries.ts'
import { openTransport, type Transport } from './transport.ts'
import { asCairnError, createUploads } from './uploads.ts'
import { VERSION } from './version.ts'

/** Headers of claims remembered as verified: the claims of as many puts under way. */
const TRUSTED_HEADERS_MAX = 4_096
/** Events that come in before the core is there: connections made while joining. */
const EARLY_EVENTS_MAX = 1_000
/** The core is told at most so often that people are served: it counts on it for longer. */
const SERVED_MS = 250

/**
 * Starts a node. A home that already holds a network is restarted with it; a new one makes a network
 * (a private one unless `create.open`) or joins the one that `join` or mDNS leads to.
 *
 * @throws CairnError BAD_CONFIG, LOCKED, NEWER_VERSION, PORT_IN_USE, BAD_INVITE, WRONG_NETWORK,
 *   WRONG_SECRET, WRONG_VERSION, UNREACHABLE, STORE_DAMAGED
 */
export function createNode(given: NodeOptions): Promise<CairnNode> {
  return createNodeWith(given, {})
}

/** Where a node can be made to do otherwise than it should: in the tests of how the others bear it. */
export interface Ways {
  serve?: (honest: BulkServer, shell: () => Shell) => BulkServer
  servedOn?: (channel: ByteChannel) => ByteChannel
  perform?: (shell: Shell, action: CoreAction) => void
}

/** A node with ways of its own. Not for applications. */
export async function createNodeWith(given: NodeOptions, ways: Ways): Promise<CairnNode> {
  const options = checkOptions(given, Object.keys(DEFAULTS))
  checkConfig(options.config)
  const home = await openHome(options.home)
  const ending = endingOf()
  ending.add(() => home.release())
  try {
    return await start(options, home, ending, ways)
  } catch (cause) {
    await ending.end().catch(() => undefined) // what went wrong first is what the caller must know
    throw cause
  }
}

function checkConfig(config: NodeOptions['config']): void {
  try {
    configure(config)
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw new CairnError('BAD_CONFIG', `config: ${cause.message}`, {
      cause,
      hint: 'leave it out: the defaults fit each other'
    })
  }
}

async function start(options: NodeOptions, home: Home, ending: Ending, ways: Ways): Promise<CairnNode> {
  const notes: string[] = []
  const settings = await settle(options, home, notes)
  const known = await home.network()
  const created = known ?? networkToMake(options)
  noteIgnored(options, known, notes)
  const members = await keptMembers(home, notes)
  const events = broadcast<NodeEvent>((count) => {
    return { type: 'log', level: 'warn', text: `${count} events were dropped: read faster`, atMs: Date.now() }
  })
  ending.add(async () => events.end())
  const early = earlyEvents()
  const lost: [BlockKey, number | undefined][] = []
  const log: Shell['log'] = (level, text) => events.emit({ type: 'log', level, text, atMs: Date.now() })
  let shell: Shell | undefined
  const there = (): Shell => {
    if (shell !== undefined) return shell
    throw new CairnError('BUSY', 'this node is still starting', { hint: 'try again' })
  }

  const store = await openStore({
    memory: blockBuffers.take,
    directory: home.store,
    capacity: settings.capacity,
    onLost: (...one) => (shell === undefined ? lost.push(one) : tellLost(shell, ...one)),
    onError: (error) => log('error', `${error.message}`)
  })
  ending.add(() => store.close())
  const besides: Besides = async (some) => (shell === undefined ? new Set() : await keptByOthers(shell, some))
  const damage = await openDamage(home.path, { store, log, besides })
  ending.add(() => damage.close())
  const scrub = scrubOf(store, () => there().usable(), damage.isBesides)
  if (store.copied) await adoptCopy(store, notes)
  const { credentials, addresses } = joinNetwork.credentials(created, options.join)
  const found = foundPeers()
  ending.add(async () => shell && withinLimit(shell.settled())) // once the transport brings no more of it
  const transport = await openTransport({
    privateKey: home.identity.privateKey,
    listen: settings.listen,
    admission: credentials,
    mdns: options.mdns ?? false,
    bulkPort: options.bulkPort,
    on: hearTransport({ dispatch: early.dispatch, log, found, shell: () => shell }),
    bulk: ways.serve?.(bulkServer(there), there) ?? bulkServer(there),
    ...(ways.servedOn === undefined ? {} : { servedOn: ways.servedOn })
  })
  ending.add(() => withinLimit(transport.close()))
  const network = created ?? (await joinNetwork.firstContact(transport, addresses, found))
  const refFiles = await openRefFiles(home.path, network.id, cryptoOf(home.identity), log)
  const reading = { network: network.id, crypto: cryptoOf(home.identity), log }
  const mirrorFiles = await openMirrorFiles(home.path, reading)
  const claimer = await claimerOf(network, home.identity)
  const refOptions = { ...refFiles.options, shared: claimer.shared }
  const core = coreOf({ options, settings, network, home, transport, store, refs: refOptions })
  if (known === undefined) await home.saveNetwork(network)
  await home.saveSettings({ ...settings, listen: stableListen(settings.listen, transport.addresses()) })

  shell = runningShell({
    core,
    home,
    network,
    claimer,
    store,
    transport,
    events,
    log,
    ending,
    there,
    refFiles,
    mirrorFiles,
    ways,
    damage,
    scrub
  })
  early.opened(shell.dispatch)
  for (const one of lost) tellLost(shell, ...one)
  shell.dispatch({ type: 'found', members })
  shell.dispatch({ type: 'join', addresses })
  shell.mirrors.start()
  shell.changed()
  shell.refs.start()
  const disk = { scrub, scrubStatus: () => store.scrubStatus() }
  return faceOf(shell, { notes, closed: ending.closed, disk, stop: ending.end })
}

/** What the node keeps of how it was started: as told now, else as before, else the default. */
async function settle(options: NodeOptions, home: Home, notes: string[]): Promise<Settings> {
  const kept = await home.settings()
  const zone = options.zone ?? kept?.zone
  let capacity = options.capacity ?? kept?.capacity
  if (capacity === undefined) {
    capacity = await defaultCapacity(home.path)
    notes.push(`capacity: ${capacity} bytes, half of what is free on this disk`)
  }
  return {
    listen: options.listen ?? kept?.listen ?? [...LISTEN_DEFAULT],
    capacity,
    ...(zone === undefined ? {} : { zone }),
    name: options.name ?? kept?.name ?? nameOf(home.identity.id),
    incarnation: kept?.incarnation ?? 0
  }
}

/**
 * A store that was copied, or restored from a backup, is this node's now: under another id, and with nothing
 * in it taken for verified. What it lacks or has too much is what the one rule is for. Two that run with one
 * identity are told apart by their words (`twin.ts`).
 */
async function adoptCopy(store: DiskStore, notes: string[]): Promise<void> {
  await store.adopt()
  notes.push(
    'the store was copied here or restored from a backup: it is compared with the other members and read ' +
      'again; the original, if there still is one, must not run as well'
  )
}

/** Of a home without one: made now, or undefined when it is to be joined. */
function networkToMake({ create, join, mdns }: NodeOptions): Network | undefined {
  if (create !== undefined) return newNetwork(create)
  return join === undefined && mdns !== true ? newNetwork({ open: false }) : undefined
}

function noteIgnored({ create }: NodeOptions, known: Network | undefined, notes: string[]): void {
  if (known === undefined || create === undefined) return
  const other = create.open !== known.open || (create.replicas ?? known.replicas) !== known.replicas
  if (!other) return
  const is = `${known.open ? 'open' : 'private'}, ${known.replicas} replicas`
  notes.push(`this home has a network already (${known.id}: ${is}), which stays as it is`)
}

/** Addresses of the last run are a convenience: without them, others find this node. */
async function keptMembers(home: Home, notes: string[]) {
  try {
    return await home.members()
  } catch (cause) {
    if (!CairnError.is(cause, 'BAD_CONFIG')) throw cause
    notes.push(`${cause.message}: known addresses were forgotten`)
    return []
  }
}

/** Keeps what comes in before the core is there. */
function earlyEvents() {
  const waiting: CoreEvent[] = []
  let to = (event: CoreEvent): void => {
    if (waiting.length < EARLY_EVENTS_MAX) waiting.push(event)
  }
  return {
    dispatch: (event: CoreEvent): void => to(event),
    opened(dispatch: (event: CoreEvent) => void): void {
      to = dispatch
      for (const event of waiting.splice(0)) dispatch(event)
    }
  }
}

/** A copy here was damaged: the core wants it back, and its slot has changed. */
function tellLost(shell: Shell, key: BlockKey, replicas = shell.network.replicas): void {
  shell.damage.found(key, replicas)
  shell.dispatch({ type: 'lost', key, replicas })
  shell.changed()
  const reason = 'the copy on this disk was damaged; it is fetched again'
  shell.events.emit({ type: 'block-lost', cid: cidOfKey(key, 'raw'), reason, atMs: Date.now() })
}

interface ShellParts
  extends Pick<Shell, 'core' | 'home' | 'network' | 'store' | 'transport' | 'events' | 'log' | 'damage'> {
  scrub: CairnNode['scrub']
  ending: Ending
  claimer: Claimer
  refFiles: RefFiles
  mirrorFiles: MirrorFiles
  ways: Ways
  there(): Shell
}

/** The parts at work together, until the end. */
function runningShell({ ending, there, refFiles, mirrorFiles, ways, scrub, ...parts }: ShellParts): Shell {
  const { core, home, store, log } = parts
  const uploads = createUploads(there, home.path)
  const reads = createReads(there)
  const refs = createNodeRefs(there, refFiles, home.path)
  const mirrors = createNodeMirrors(there, mirrorFiles)
  const asked: Shell['asked'] = new Map()
  const tasks = new Set<Promise<unknown>>()
  const stopped = (): CairnError =>
    new CairnError('UNREACHABLE', 'this node has stopped', { hint: 'ask another member, or start it again' })
  const settled = async (): Promise<void> => void (await Promise.allSettled([...tasks]))
  const loop = startLoop(core, {
    perform: (action) => (ways.perform ?? perform)(there(), action),
    failed(error) {
      log('error', `stopped: ${error instanceof Error ? error.stack : String(error)}`)
      ending.fail(asCairnError(error))
    }
  })
  const summaries = startSummaries(store, loop.dispatch, log)
  ending.add(async () => {
    loop.stop()
    await summaries.stop()
    uploads.close(stopped())
    reads.close(stopped())
    refs.close(stopped())
    mirrors.close(stopped())
    for (const { reject } of asked.values()) reject(stopped())
  })
  return {
    ...{ ...parts, id: home.identity.id, crypto: cryptoOf(home.identity), uploads, reads },
    roundTrips: roundTrips(),
    ...{ refs, mirrors, asked, settled, scrubs: createNetworkScrubs(there, scrub) },
    trusted: trustedHeaders(TRUSTED_HEADERS_MAX),
    dispatch: loop.dispatch,
    served: atMostEvery(SERVED_MS, () => loop.dispatch({ type: 'served' })),
    changed: summaries.changed,
    told: summaries.flush,
    during(work) {
      tasks.add(work)
      const over = (): void => void tasks.delete(work)
      work.then(over, over)
      return work
    },
    usable() {
      if (ending.begun()) throw stopped()
    },
    nameOf: (peer) => core.membership.table.known.get(peer)?.member.name ?? nameOf(peer),
    fail: ending.fail
  }
}

function atMostEvery(ms: number, act: () => void): () => void {
  let lastMs = Number.NEGATIVE_INFINITY
  return () => {
    const nowMs = monotonicMs()
    if (nowMs < lastMs + ms) return
    lastMs = nowMs
    act()
  }
}

/** A port of the system's choice is kept, so that the others find a restarted node where it was. */
function stableListen(listen: readonly string[], addresses: readonly string[]): string[] {
  if (!listen.some((address) => /\/tcp\/0(\/|$)/.test(address))) return [...listen]
  const port = addresses[0]?.match(/\/tcp\/(\d+)/)?.[1] ?? '0'
  return listen.map((address) => address.replace(/\/tcp\/0(?=\/|$)/, `/tcp/${port}`))
}

interface CoreParts {
  options: NodeOptions
  settings: Settings
  network: Network
  home: Home
  transport: Transport
  store: DiskStore
  refs: RefOptions
}

function coreOf({ options, settings, network, home, transport, store, refs }: CoreParts): Core {
  const facts: Facts = {
    addresses: transport.addresses().slice(0, MEMBER_LIMITS.addresses),
    capacity: settings.capacity,
    zone: settings.zone,
    name: settings.name,
    full: outOfRoom(store.usage()),
    http: undefined,
    version: VERSION
  }
  return createCore(
    {
      id: home.identity.id,
      facts,
      incarnation: settings.incarnation + 1,
      life: lifeOf(store.identity),
      config: { ...options.config, replicas: network.replicas },
      random: seeded(randomInt(2 ** 32)),
      crypto: cryptoOf(home.identity),
      refs
    },
    monotonicMs()
  )
}
