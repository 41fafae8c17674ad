/** Nodes in memory behind real servers, for as long as a test's body runs. */

import { type Client, type ClientOptions, createClient } from '@cairn/client'
import { seeded } from '@cairn/core'
import { serveNode } from '@cairn/gateway'
import { type Lone, loneNode } from '../../../packages/gateway/test/support/lone.ts'
import { type BadProxy, type Fault, startProxy } from './proxy.ts'

export interface World {
  /** A node and its url. */
  node(): Promise<{ node: Lone; url: string; close: () => Promise<void> }>
  proxy(upstream: string, fault: Fault, only?: RegExp): Promise<BadProxy>
}

/** A test's body with everything that it opened closed at the end. */
export function withWorld(body: (world: World) => Promise<void>): () => Promise<void> {
  return async () => {
    const open: (() => Promise<void>)[] = []
    try {
      await body({
        async node() {
          const node = loneNode()
          const { url, close } = await serveNode(node, { onStop: () => {} })
          open.push(close)
          return { node, url, close }
        },
        async proxy(upstream, fault, only) {
          const proxy = await startProxy(upstream, fault, only)
          open.push(proxy.close)
          return proxy
        }
      })
    } finally {
      for (const close of open.reverse()) await close()
    }
  }
}

/** A client of these nodes; a proxy goes with the token of the node behind it. */
export function clientOf(
  at: readonly (readonly [url: string, node: Lone])[],
  options: ClientOptions = {}
): Client {
  return createClient({ urls: at.map(([url, { token }]) => ({ url, token })), ...options })
}

/** Bytes that differ from page to page: enough to make every block another one, and quick. */
export function randomBytes(length: number, seed = 1): Uint8Array {
  const random = seeded(seed)
  const page = Uint8Array.from({ length: 4_096 }, () => random() * 256)
  const bytes = new Uint8Array(length)
  const view = new DataView(bytes.buffer)
  for (let at = 0; at < length; at += page.length) {
    bytes.set(page.subarray(0, length - at), at)
    if (at + 8 <= length) view.setFloat64(at, random())
  }
  return bytes
}
