/**
 * `createNode`: opens a home, joins or makes its network, and keeps the core going until told to stop.
 * Embeddable: no signals, no output, no exit; what happens is told through `events`.
 */

import { randomInt } from 'node:crypto'
import {
  CairnError,
  type Core,
  type CoreEvent,
  createCore,
  DEFAULTS,
  decodeMessage,
  type Facts,
  MEMBER_LIMITS,
  type PeerId,
  seeded,
  trustedHeaders
} from '@cairn/core'
import { openStore, type Store } from '@cairn/store'
import type { CairnNode, NodeEvent } from './api.ts'
import { broadcast } from './broadcast.ts'
import { checkOptions, defaultCapacity, LISTEN_DEFAULT, type NodeOptions } from './config.ts'
import { faceOf } from './face.ts'
import { type Home, openHome, type Settings } from './home.ts'
import { cryptoOf } from './identity.ts'
import { joinNetwork } from './joining.ts'
import { nameOf } from './names.ts'
import { type Network, newNetwork } from './network.ts'
import { perform } from './perform.ts'
import { createReads } from './reads.ts'
import { bulkServer } from './receive.ts'
import { type Loop, monotonicMs, startLoop } from './runtime.ts'
import type { Shell } from './shell.ts'
import { startSummaries } from './summaries.ts'
import { openTransport, type Transport, type TransportEvents } from './transport.ts'
import { asCairnError, createUploads } from './uploads.ts'
import { VERSION } from './version.ts'

/** Headers of claims remembered as verified: the claims of as many puts under way. */
const TRUSTED_HEADERS_MAX = 4_096
/** Events that come in before the core is there: connections made while joining. */
const EARLY_EVENTS_MAX = 1_000

/**
 * Starts a node. A home that already holds a network is restarted with it; a new one makes a network
 * (a private one unless `create.open`) or joins the one that `join` or mDNS leads to.
 *
 * @throws CairnError BAD_CONFIG, LOCKED, NEWER_VERSION, PORT_IN_USE, BAD_INVITE, WRONG_NETWORK,
 *   WRONG_SECRET, WRONG_VERSION, UNREACHABLE, STORE_DAMAGED
 */
export async function createNode(given: NodeOptions): Promise<CairnNode> {
  const options = checkOptions(given, Object.keys(DEFAULTS))
  const home = await openHome(options.home)
  const opened: (() => Promise<unknown>)[] = [() => home.release()]
  try {
    return await start(options, home, opened)
  } catch (cause) {
    for (const close of opened.reverse()) await close()
    throw cause
  }
}

async function start(
  options: NodeOptions,
  home: Home,
  opened: (() => Promise<unknown>)[]
): Promise<CairnNode> {
  const { id, privateKey } = home.identity
  const kept = await home.settings()
  const settings = await settle(options, home, kept)
  const events = broadcast<NodeEvent>((count) => {
    return { type: 'log', level: 'warn', text: `${count} events were dropped: read faster`, atMs: Date.now() }
  })
  let shell: Shell | undefined
  const there = (): Shell => {
    if (shell === undefined)
      throw new CairnError('BUSY', 'this node is still starting', { hint: 'try again' })
    return shell
  }
  const early: CoreEvent[] = []
  let dispatch = (event: CoreEvent): void => {
    if (early.length < EARLY_EVENTS_MAX) early.push(event)
  }
  const log: Shell['log'] = (level, text) => events.emit({ type: 'log', level, text, atMs: Date.now() })
  const known = await home.network()
  const created = known ?? (options.create === undefined ? undefined : newNetwork(options.create))
  const { credentials, addresses } = joinNetwork.credentials(created, options.join)
  const found: { peer: PeerId; addresses: string[] }[] = []
  const transport = await openTransport({
    privateKey,
    listen: settings.listen,
    admission: credentials,
    mdns: options.mdns ?? false,
    on: transportEvents({ dispatch: (event) => dispatch(event), log, found }),
    bulk: bulkServer(there)
  })
  opened.push(() => transport.close())
  const network = created ?? (await joinNetwork.firstContact(transport, addresses, found))
  if (known === undefined) await home.saveNetwork(network)
  const store = await openStore({
    directory: home.store,
    capacity: settings.capacity,
    onLost: (key) => {
      dispatch({ type: 'lost', key, replicas: network.replicas })
      log('error', `a copy of ${key} was damaged; it is fetched again`)
    }
  })
  opened.push(() => store.close())
  await home.saveSettings({ ...settings, listen: stableListen(settings.listen, transport.addresses()) })

  const core = coreOf({ options, settings, network, home, transport, store })
  const summaries = startSummaries(store, (event) => dispatch(event), log)
  const asked: Shell['asked'] = new Map()
  const failure = { handler: (_error: CairnError): void => undefined }
  shell = {
    ...{ id, home, network, crypto: cryptoOf(home.identity), core, store, transport, events, asked, log },
    uploads: createUploads(there),
    reads: createReads(there),
    trusted: trustedHeaders(TRUSTED_HEADERS_MAX),
    dispatch: (event) => dispatch(event),
    changed: summaries.changed,
    nameOf: (peer) => core.membership.table.known.get(peer)?.member.name ?? nameOf(peer),
    fail: (error) => failure.handler(error)
  }
  const running = shell
  const loop: Loop = startLoop(
    core,
    (action) => perform(running, action),
    (error) => {
      log('error', `stopped: ${error instanceof Error ? error.stack : String(error)}`)
      running.fail(asCairnError(error))
    }
  )
  dispatch = loop.dispatch
  for (const event of early) dispatch(event)
  dispatch({ type: 'found', members: await home.members() })
  dispatch({ type: 'join', addresses })
  summaries.changed()
  return faceOf(running, {
    failure,
    close: async () => {
      loop.stop()
      await summaries.stop()
      for (const close of opened.reverse()) await close()
      events.end()
    }
  })
}

/** What the node keeps of how it was started: as told now, else as before, else the default. */
async function settle(options: NodeOptions, home: Home, kept: Settings | undefined): Promise<Settings> {
  const zone = options.zone ?? kept?.zone
  return {
    listen: options.listen ?? kept?.listen ?? [...LISTEN_DEFAULT],
    capacity: options.capacity ?? kept?.capacity ?? (await defaultCapacity(home.path)),
    ...(zone === undefined ? {} : { zone }),
    name: options.name ?? kept?.name ?? nameOf(home.identity.id),
    incarnation: kept?.incarnation ?? 0
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
  store: Store
}

function coreOf({ options, settings, network, home, transport, store }: CoreParts): Core {
  const facts: Facts = {
    addresses: transport.addresses().slice(0, MEMBER_LIMITS.addresses),
    capacity: settings.capacity,
    zone: settings.zone,
    name: settings.name,
    full: store.usage().full,
    http: undefined,
    version: VERSION
  }
  return createCore(
    {
      id: home.identity.id,
      facts,
      incarnation: settings.incarnation + 1,
      config: { ...options.config, replicas: network.replicas },
      random: seeded(randomInt(2 ** 32)),
      crypto: cryptoOf(home.identity)
    },
    monotonicMs()
  )
}

/** What the transport says, as events of the core. A peer's bytes are decoded here, once. */
function transportEvents(to: {
  dispatch(event: CoreEvent): void
  log: Shell['log']
  found: { peer: PeerId; addresses: string[] }[]
}): TransportEvents {
  const { dispatch, log, found } = to
  return {
    message(from, bytes) {
      try {
        dispatch({ type: 'message', from, message: decodeMessage(bytes) })
      } catch (cause) {
        if (!CairnError.is(cause, 'BAD_MESSAGE')) throw cause
        log('warn', `${from}: ${cause.message}`)
      }
    },
    connected: (peer) => dispatch({ type: 'connected', peer }),
    disconnected: (peer) => dispatch({ type: 'disconnected', peer }),
    found(peer, addresses) {
      if (found.length < EARLY_EVENTS_MAX) found.push({ peer, addresses })
      dispatch({ type: 'found', members: [{ id: peer, addresses }] })
    },
    rejected: (who, error) => log('warn', `${who}: ${error.message}`)
  }
}
