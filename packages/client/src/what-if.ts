/**
 * What would be lost with some members, by what all members say that they hold: of everything in numbers,
 * and of each pin and ref by asking for every block of it.
 */
import type { CID } from 'multiformats/cid'
import { toDagStatus, toNodeStatus } from './json.ts'
import type { Nodes } from './nodes.ts'
import type { Refs } from './refs.ts'
import type { Affected, DagStatus, Pin, Safety, WhatIf } from './types.ts'

export interface WhatIfOptions {
  /** Pins and refs looked at, of how many. */
  onProgress?: (progress: { done: number; total: number }) => void
  signal?: AbortSignal
}

interface Root {
  root: CID
  names: string[]
  replicas: number
}

/** The safety of everything, as if the copies of `lose` were lost. */
export async function safetyWithout(
  nodes: Nodes,
  lose: readonly string[],
  signal?: AbortSignal
): Promise<Safety> {
  const { verdict, reason, wanted, blocks, bytes, byCopies, bytesByCopies, repairing } = toNodeStatus(
    await nodes.anyJson({ path: `/v1/status?${queryOf(lose)}`, signal })
  )
  return { verdict, reason, wanted, blocks, bytes, byCopies, bytesByCopies, repairing }
}

export async function whatIf(
  { nodes, refs, pins }: { nodes: Nodes; refs: Refs; pins: AsyncIterable<Pin> },
  lose: readonly string[],
  { onProgress, signal }: WhatIfOptions
): Promise<WhatIf> {
  const network = await safetyWithout(nodes, lose, signal) // first: it refuses members that are not known
  const roots = await rootsOf(refs, pins, signal)
  const affected: Affected[] = []
  let done = 0
  for (const { root, names, replicas } of roots) {
    onProgress?.({ done: done++, total: roots.length })
    const path = `/v1/status/${root}?replicas=${replicas}&${queryOf(lose)}`
    const status = toDagStatus(await nodes.anyJson({ path, signal }))
    if (status.verdict !== 'healthy') affected.push({ ...status, names })
  }
  affected.sort((a, b) => leastOf(a) - leastOf(b))
  return { network, affected, roots: roots.length }
}

function queryOf(lose: readonly string[]): string {
  return new URLSearchParams(lose.map((one) => ['without', one])).toString()
}

/** Each once, whatever it is kept for, with the highest N of those. */
async function rootsOf(refs: Refs, pins: AsyncIterable<Pin>, signal?: AbortSignal): Promise<Root[]> {
  const roots = new Map<string, Root>()
  const note = (root: CID, name: string, replicas: number): void => {
    const known = roots.get(root.toString()) ?? { root, names: [], replicas: 0 }
    if (!known.names.includes(name)) known.names.push(name)
    known.replicas = Math.max(known.replicas, replicas)
    roots.set(root.toString(), known)
  }
  for await (const { root, name, replicas } of pins) note(root, `pin ${name ?? '-'}`, replicas)
  for (const { root, name, replicas } of await refs.list({ all: true, ...(signal ? { signal } : {}) })) {
    if (root !== undefined) note(root, `ref ${name}`, replicas)
  }
  return [...roots.values()]
}

/** Copies that the worst block of it would have. */
function leastOf({ byCopies }: DagStatus): number {
  return byCopies.findIndex((blocks) => blocks > 0)
}
