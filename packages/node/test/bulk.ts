// limit: 180 s
import { randomBytes } from 'node:crypto'
import { BLOCK_BYTES_MAX, type BlockKey, CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Got } from '../src/bulk.ts'
import type { OutEntry } from '../src/frame.ts'
import { type Answer, WANT_CREDIT_BYTES } from '../src/serve.ts'
import { codeOf, keyOf, openPair as openPeers, type TestPeerOptions, until } from './support/peers.ts'
import { scoped } from './support/scope.ts'

const MIB = 1024 * 1024

function entryOf(bytes: Uint8Array, proofs: Uint8Array[] = []): OutEntry {
  return { key: keyOf(bytes), bytes, proofs }
}

/** Entries of one size that share their bytes but not their keys: cheap to make and to hold. */
function many(count: number, size: number): OutEntry[] {
  const bytes = new Uint8Array(size)
  return Array.from({ length: count }, (_, i) => ({
    key: `1220${i.toString(16).padStart(64, '0')}` as BlockKey,
    bytes,
    proofs: []
  }))
}

/** A server's `sizes`: all blocks are like this one. */
function of(block: Uint8Array) {
  return async (_: unknown, keys: readonly BlockKey[]) => keys.map(() => block.length)
}

for (const way of ['TLS', 'libp2p streams'] as const) {
  const bulk = suite(`bulk by ${way}`)
  const bulkPort = way === 'TLS' ? 0 : false
  const openPair = (options: { server?: TestPeerOptions; client?: TestPeerOptions } = {}) =>
    openPeers({ server: { bulkPort, ...options.server }, client: { bulkPort, ...options.client } })

  bulk(
    'blocks of every size, claims alone and proofs arrive as they were sent',
    scoped(async (use) => {
      const { server, client } = use(await openPair())
      const sizes = [0, 1, 100, 4_096, 262_144, MIB, MIB + 1, BLOCK_BYTES_MAX]
      const entries: OutEntry[] = [
        ...sizes.map((size) => entryOf(randomBytes(size), [randomBytes(4_096), randomBytes(1)])),
        entryOf(
          randomBytes(BLOCK_BYTES_MAX),
          Array.from({ length: 8 }, () => randomBytes(4_096))
        ),
        { key: keyOf(randomBytes(9)), proofs: [randomBytes(10)] }
      ]
      const answers: Answer[] = []
      await client.transport.sendBlocks(server.id, entries, { onAnswer: (answer) => answers.push(answer) })
      assert.equal(
        answers.flatMap(({ items }) => items),
        entries.map(({ key }) => ({ key, outcome: 'held' }))
      )
      assert.ok(answers.every(({ receipt }) => receipt?.length === 1))
      for (const { key, bytes, proofs } of entries) {
        const kept = server.blocks.get(key)
        assert.is(
          bytes && Buffer.compare(kept?.bytes as Uint8Array, bytes),
          bytes && 0,
          `${bytes?.length} bytes`
        )
        assert.equal(
          kept?.proofs.map((proof) => Buffer.from(proof)),
          proofs.map((proof) => Buffer.from(proof))
        )
      }

      const got = new Map<BlockKey, Got>()
      const absent = keyOf(randomBytes(5))
      const keys = [...entries.map(({ key }) => key), absent]
      await client.transport.fetchBlocks(server.id, keys, {
        onBlock: (one) => {
          got.set(one.key, one)
        }
      })
      assert.is(got.size, keys.length)
      assert.equal(got.get(absent), { key: absent, proofs: [] })
      for (const { key, bytes, proofs } of entries.filter((entry) => entry.bytes !== undefined)) {
        assert.is(Buffer.compare(got.get(key)?.bytes as Uint8Array, bytes as Uint8Array), 0)
        assert.is(got.get(key)?.proofs.length, proofs.length)
      }
      assert.is(client.transport.secureChannels().dialled, way === 'TLS' ? 2 : 0)
    })
  )

  bulk(
    'five thousand small blocks take a few frames, not five thousand round trips',
    scoped(async (use) => {
      let frames = 0
      let atOnce = 0
      let most = 0
      const receive = async (_: unknown, entries: OutEntry[]): Promise<Answer> => {
        frames++
        most = Math.max(most, ++atOnce)
        await until(() => frames > 1, 'a second frame is received before the first is answered')
        atOnce--
        return { items: entries.map(({ key }) => ({ key, outcome: 'held' })) }
      }
      const block = new Uint8Array(4_096)
      const read = async () => ({ bytes: block, proofs: [] })
      const { server, client } = use(
        await openPair({ server: { bulk: { receive, read, sizes: of(block) } } })
      )
      const entries = many(5_000, 4_096)
      let answered = 0
      await client.transport.sendBlocks(server.id, entries, {
        onAnswer: ({ items }) => {
          answered += items.length
        }
      })
      assert.is(answered, 5_000)
      assert.ok(frames <= 12, `${frames} frames`)
      assert.ok(most > 1, 'several frames are in receive at once')
      let got = 0
      await client.transport.fetchBlocks(
        server.id,
        entries.map(({ key }) => key),
        {
          onBlock: ({ bytes }) => {
            if (bytes?.length === 4_096) got++
          }
        }
      )
      assert.is(got, 5_000)
    })
  )

  bulk(
    'every outcome and reason comes back, and a receiver that throws fails its frame alone',
    scoped(async (use) => {
      const outcomes = ['held', 'absent', 'full', 'refused', 'failed'] as const
      let calls = 0
      const receive = async (_: unknown, entries: OutEntry[]): Promise<Answer> => {
        if (calls++ > 0) throw new Error('the disk is on fire \u001b[31m')
        return {
          items: entries.map(({ key }, i) => ({
            key,
            outcome: outcomes[i % 5] as 'held',
            reason: 'x'.repeat(300)
          }))
        }
      }
      const { server, client } = use(await openPair({ server: { bulk: { receive } } }))
      const entries = many(5, 10)
      const answers: Answer[] = []
      const onAnswer = (answer: Answer): void => void answers.push(answer)
      await client.transport.sendBlocks(server.id, entries, { onAnswer })
      await client.transport.sendBlocks(server.id, entries, { onAnswer })
      assert.equal(
        answers[0]?.items.map(({ outcome }) => outcome),
        outcomes
      )
      assert.is(answers[0]?.items[0]?.reason, 'x'.repeat(200))
      assert.equal(answers[1]?.items[0], {
        key: entries[0]?.key,
        outcome: 'failed',
        reason: 'the disk is on fire ?[31m'
      })
    })
  )

  bulk(
    'unanswered pushes stop at the credit, and the rest goes on when answers come',
    scoped(async (use) => {
      const waiting: (() => void)[] = []
      let bytes = 0
      const receive = async (_: unknown, entries: OutEntry[]): Promise<Answer> => {
        for (const entry of entries) bytes += entry.bytes?.length ?? 0
        await new Promise<void>((resolve) => waiting.push(resolve))
        return { items: entries.map(({ key }) => ({ key, outcome: 'held' })) }
      }
      const { server, client } = use(await openPair({ server: { bulk: { receive } } }))
      let answered = 0
      const sending = client.transport.sendBlocks(server.id, many(40, MIB), {
        onAnswer: ({ items }) => {
          answered += items.length
        }
      })
      await until(() => bytes === 16 * MIB, 'the credit is used')
      await client.transport.fetchBlocks(server.id, [keyOf(new Uint8Array(1))], { onBlock: () => {} })
      assert.is(bytes, 16 * MIB, 'and no more than the credit')
      const pump = setInterval(() => waiting.shift()?.(), 1)
      try {
        await sending
      } finally {
        clearInterval(pump)
      }
      assert.is(answered, 40)
    })
  )

  bulk(
    'a slow reader holds the sender back: no more is read than its credit',
    scoped(async (use) => {
      let read = 0
      const block = new Uint8Array(MIB)
      const readOne = async () => {
        read++
        return { bytes: block, proofs: [] }
      }
      const server = { bulk: { read: readOne, sizes: of(block) } }
      const pair = use(await openPair({ server }))
      const keys = many(100, 0).map(({ key }) => key)
      let release: () => void = () => {}
      const gate = new Promise<void>((resolve) => {
        release = resolve
      })
      let got = 0
      const fetching = pair.client.transport.fetchBlocks(pair.server.id, keys, {
        async onBlock() {
          got++
          await gate
        }
      })
      await until(() => read >= WANT_CREDIT_BYTES / MIB && got === 1, 'the credit is read')
      // Another request passes meanwhile: the slow one blocks nobody, and all it caused was read by then.
      await pair.client.transport.fetchBlocks(pair.server.id, keys.slice(0, 10), { onBlock: () => {} })
      assert.is(got, 1)
      assert.ok(read - 10 <= WANT_CREDIT_BYTES / MIB, `${read - 10} blocks read for a reader that took none`)
      release()
      await fetching
      assert.is(got, 100)
    })
  )

  bulk(
    'a cancelled fetch stops the sender, and the stream stays good',
    scoped(async (use) => {
      let read = 0
      const block = new Uint8Array(MIB)
      const readOne = async () => {
        read++
        return { bytes: block, proofs: [] }
      }
      const server = { bulk: { read: readOne, sizes: of(block) } }
      const pair = use(await openPair({ server }))
      const keys = many(2_000, 0).map(({ key }) => key)
      const cancel = new AbortController()
      let got = 0
      const code = await codeOf(
        pair.client.transport.fetchBlocks(pair.server.id, keys, {
          signal: cancel.signal,
          onBlock() {
            if (++got === 5) cancel.abort(new CairnError('TIMEOUT', 'enough'))
          }
        })
      )
      assert.is(code, 'TIMEOUT')
      const atCancel = got
      await pair.client.transport.fetchBlocks(pair.server.id, keys.slice(0, 3), { onBlock: () => {} })
      assert.is(got, atCancel, 'nothing is delivered after the cancel')
      assert.ok(read < 200, `${read} blocks read`)
      assert.is(
        await codeOf(
          pair.client.transport.fetchBlocks(pair.server.id, keys, {
            signal: cancel.signal,
            onBlock: () => {}
          })
        ),
        'TIMEOUT'
      )
    })
  )

  bulk(
    'readers wait neither for repairs that are under way nor for what those have read',
    scoped(async (use) => {
      const block = new Uint8Array(MIB)
      const { promise: released, resolve: release } = Promise.withResolvers<void>()
      let pulled = 0
      const read = async (_: unknown, _key: unknown, forRepair: boolean) => {
        if (forRepair) pulled++
        if (forRepair) await released
        return { bytes: block, proofs: [] }
      }
      const { server, client } = use(await openPair({ server: { bulk: { read, sizes: of(block) } } }))
      const keys = many(256, 0).map(({ key }) => key)
      const fetch = (some: readonly BlockKey[], yields: boolean) =>
        client.transport.fetchBlocks(server.id, some, { yields, onBlock: () => {} })
      const repairs = Array.from({ length: 8 }, (_, i) => fetch(keys.slice(32 * i, 32 * (i + 1)), true))
      await until(() => pulled === 16, 'as many are read for repair as may be')
      await Promise.all(keys.slice(0, 40).map((key) => fetch([key], false)))
      assert.is(pulled, 16)
      release()
      await Promise.all(repairs)
    })
  )

  bulk(
    'a cancelled send stops, and returns its credit',
    scoped(async (use) => {
      let received = 0
      const receive = async (_: unknown, entries: OutEntry[]): Promise<Answer> => {
        received += entries.length
        return { items: entries.map(({ key }) => ({ key, outcome: 'held' })) }
      }
      const { server, client } = use(await openPair({ server: { bulk: { receive } } }))
      const cancel = new AbortController()
      const onAnswer = (): void => cancel.abort(new CairnError('TIMEOUT', 'enough'))
      const entries = many(400, MIB)
      assert.is(
        await codeOf(client.transport.sendBlocks(server.id, entries, { signal: cancel.signal, onAnswer })),
        'TIMEOUT'
      )
      let answered = 0
      await client.transport.sendBlocks(server.id, entries.slice(0, 40), {
        onAnswer: ({ items }) => {
          answered += items.length
        }
      })
      assert.is(answered, 40)
      assert.ok(received < 150, `${received} blocks sent in all`)
    })
  )

  bulk(
    'a peer that never answers fails the transfer with TIMEOUT',
    scoped(async (use) => {
      const never = () => new Promise<never>(() => {})
      const pair = use(
        await openPair({
          server: { bulk: { receive: never, read: never } },
          client: { limits: { bulkStallMs: 300 } }
        })
      )
      const { server, client } = pair
      assert.is(
        await codeOf(client.transport.sendBlocks(server.id, many(3, 10), { onAnswer: () => {} })),
        'TIMEOUT'
      )
      const keys = many(3, 10).map(({ key }) => key)
      assert.is(await codeOf(client.transport.fetchBlocks(server.id, keys, { onBlock: () => {} })), 'TIMEOUT')
    })
  )

  bulk(
    'a consumer of ones own that takes its time is no stall',
    scoped(async (use) => {
      const pair = use(await openPair({ client: { limits: { bulkStallMs: 400 } } }))
      const { server, client } = pair
      const entry = entryOf(randomBytes(100))
      server.blocks.set(entry.key, entry)
      let got = 0
      await client.transport.fetchBlocks(server.id, [entry.key], {
        async onBlock() {
          await new Promise((resolve) => setTimeout(resolve, 1_000))
          got++
        }
      })
      assert.is(got, 1)
    })
  )

  bulk(
    'a transfer ends when its peer goes away',
    scoped(async (use) => {
      const receive = () => new Promise<never>(() => {})
      const { server, client } = use(await openPair({ server: { bulk: { receive } } }))
      const sending = codeOf(client.transport.sendBlocks(server.id, many(3, MIB), { onAnswer: () => {} }))
      await until(() => server.log.length > 0, 'they are connected')
      await server.transport.close()
      assert.is(await sending, 'UNREACHABLE')
      assert.is(
        await codeOf(client.transport.sendBlocks(server.id, many(1, 1), { onAnswer: () => {} })),
        'UNREACHABLE'
      )
    })
  )

  bulk(
    'control frames get through while bulk runs at full speed',
    scoped(async (use) => {
      const { server, client } = use(await openPair())
      const waits: number[] = []
      let sent = 0
      let busy = true
      const sending = client.transport
        .sendBlocks(server.id, many(300, MIB), { onAnswer: () => {} })
        .finally(() => {
          busy = false
        })
      while (busy) {
        const fromMs = performance.now()
        client.transport.send(server.id, Buffer.from(`${sent++}`))
        await until(() => server.messages.length === sent, 'the frame arrives')
        waits.push(performance.now() - fromMs)
      }
      await sending
      assert.is(client.transport.droppedFrames(), 0)
      assert.ok(sent >= 3, `${sent} frames passed during the transfer`)
      const p99 = waits.sort((a, b) => a - b)[Math.floor(waits.length * 0.99)]
      process.stdout.write(`  ${way}: ${sent} control frames during 300 MiB, p99 ${p99?.toFixed(0)} ms\n`)
    })
  )

  bulk('entries beyond the limits are the callers bug', async () => {
    const pair = await openPair()
    try {
      const send = (entry: OutEntry) =>
        pair.client.transport.sendBlocks(pair.server.id, [entry], { onAnswer: () => {} })
      assert.match(await codeOf(send(entryOf(new Uint8Array(BLOCK_BYTES_MAX + 1)))), 'RangeError')
      assert.match(
        await codeOf(send(entryOf(new Uint8Array(1), Array(9).fill(new Uint8Array(1))))),
        'RangeError'
      )
      assert.match(await codeOf(send(entryOf(new Uint8Array(1), [new Uint8Array(4_097)]))), 'RangeError')
    } finally {
      await pair[Symbol.asyncDispose]()
    }
  })

  bulk.run()
}
