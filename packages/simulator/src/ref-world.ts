/**
 * Refs in the simulation: what each node's disk has of them, and writers that do with a core what the shell
 * and a client do: ask for a draft, sign it, put it to the vote, and go on from what that says.
 */
import {
  type CoreAction,
  newRefWriter,
  onRefWriter,
  type RefAction,
  type RefEntry,
  type RefOptions,
  type RefRecord,
  type RefResult,
  type RefStep,
  type RefWant,
  signRef
} from '@cairn/core'
import { type Cluster, later } from './cluster.ts'
import { hash256 } from './hash.ts'
import { seals } from './members.ts'
import { feed } from './run.ts'

/** Of a small file with its sync and its directory's. */
const KEEP_MS = 3
const LATE_MS = 1_000
/** What refs are signed for. */
export const NETWORK = '5'.repeat(32)

export interface RefWorld {
  readonly disks: { boot: number; states: Map<string, Uint8Array> }[]
  readonly asked: Map<number, { node: number; life: number; tell: (action: RefAction) => void }>
  /** Told of what becomes known as acknowledged, and of refs to renew. */
  onRef: (node: number, action: CoreAction & { type: 'ref-changed' | 'renew-ref' | 'tidy-ref' }) => void
  /** Told of every record that a writer signs. */
  onSigned: (record: RefRecord) => void
  /** Told of a record before it is put to the vote: its claims are made here. */
  onHold: (node: number, record: RefRecord) => void
  /** A planted bug: the disk says that it has kept what it writes only a second later. */
  keepsLate: boolean
}

export function createRefWorld(nodes: number): RefWorld {
  const disks = Array.from({ length: nodes }, () => ({ boot: 0, states: new Map() }))
  const told = { onRef: () => undefined, onSigned: () => undefined, onHold: () => undefined }
  return { disks, asked: new Map(), ...told, keepsLate: false }
}

/** What a starting node finds on its disk. */
export function refsOf({ disks }: RefWorld, node: number): RefOptions {
  const disk = disks[node] as RefWorld['disks'][0]
  return { network: NETWORK, boot: ++disk.boot, states: [...disk.states.values()], shared: true }
}

type Performed = Exclude<RefAction, { type: 'send' }>

export function performRef(cluster: Cluster, node: number, action: Performed): void {
  const { disks, asked } = cluster.refs
  const disk = disks[node] as RefWorld['disks'][0]
  switch (action.type) {
    case 'keep-ref':
      later(cluster, node, KEEP_MS, () => {
        if (cluster.refs.keepsLate)
          later(cluster, node, LATE_MS, () => disk.states.set(action.id, action.bytes))
        else disk.states.set(action.id, action.bytes)
        feed(cluster, node, { type: 'ref-kept', token: action.token, atMs: cluster.nowMs })
      })
      return
    case 'drop-ref':
      disk.states.delete(action.id)
      return
    case 'keep-boot':
      disk.boot = Math.max(disk.boot, action.boot)
      return
    case 'ref-changed':
    case 'renew-ref':
    case 'tidy-ref':
      cluster.refs.onRef(node, action)
      return
    default:
      asked.get(action.request)?.tell(action)
      asked.delete(action.request)
  }
}

type Ask = { type: 'ref-draft'; want: RefWant } | { type: 'ref-read'; id: string; latest: boolean }

function ask<T extends RefAction['type']>(
  cluster: Cluster,
  node: number,
  event: Ask | { type: 'ref-propose'; record: RefRecord },
  done: (action: RefAction & { type: T }) => void
): void {
  const request = cluster.nextId++
  const life = cluster.nodes[node]?.life ?? 0
  cluster.refs.asked.set(request, { node, life, tell: done as (action: RefAction) => void })
  feed(cluster, node, { ...event, request })
}

/** Updates a ref by way of a node; `done` hears how it ended, unless the node dies before. */
export function setRef(
  cluster: Cluster,
  node: number,
  want: RefWant,
  done: (result: RefResult) => void
): void {
  const { writer, step } = newRefWriter(want)
  const go = (next: RefStep): void => {
    switch (next.type) {
      case 'draft':
        ask<'ref-drafted'>(cluster, node, { type: 'ref-draft', want: next.want }, ({ draft }) => {
          go(onRefWriter(writer, { type: 'drafted', draft }))
        })
        return
      case 'sign': {
        const record = signRef(next.body, { sha256: hash256, ...seals(want.owner) })
        cluster.refs.onSigned(record)
        go(onRefWriter(writer, { type: 'signed', record }))
        return
      }
      case 'propose':
        cluster.refs.onHold(node, next.record)
        ask<'ref-updated'>(cluster, node, { type: 'ref-propose', record: next.record }, ({ outcome }) => {
          go(onRefWriter(writer, { type: 'updated', outcome }))
        })
        return
      case 'end':
        done(next.result)
    }
  }
  go(step)
}

/** Reads a ref by way of a node. */
export function readRefAt(
  cluster: Cluster,
  node: number,
  { id, latest }: { id: string; latest: boolean },
  done: (entry: RefEntry, quorum: boolean) => void
): void {
  ask<'ref-read-over'>(cluster, node, { type: 'ref-read', id, latest }, ({ entry, quorum }) =>
    done(entry, quorum)
  )
}
