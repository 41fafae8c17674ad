import { keyOf } from '@cairn/blocks'
import { signChange } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { OutEntry } from '../src/frame.ts'
import { cryptoOf, openIdentity } from '../src/identity.ts'
import { parseInvite } from '../src/network.ts'
import type { Answer } from '../src/serve.ts'
import { openTransport, type Transport } from '../src/transport.ts'
import { temporary } from './support/home.ts'
import { blocksOf, onDisk, openNodes } from './support/nodes.ts'
import { codeOf } from './support/peers.ts'
import { scoped } from './support/scope.ts'

const receive = suite('receive')

receive(
  'claims are checked, wrong bytes and a block twice get no receipt, and what is good gets one',
  scoped(async (use) => {
    const net = use(await openNodes(1))
    const { path } = use(await temporary())
    const identity = await openIdentity(`${path}/key`)
    const { network, secret, addresses } = parseInvite(net.at(0).invite()) as {
      network: string
    } & ReturnType<typeof parseInvite>
    const ignore = () => undefined
    const transport: Transport = await openTransport({
      privateKey: identity.privateKey,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      admission: { id: network, secret: secret as string, open: false, replicas: 3 },
      on: { message: ignore, connected: ignore, disconnected: ignore, found: ignore, rejected: ignore },
      bulk: {
        receive: async () => ({ items: [] }),
        sizes: async () => [],
        read: async () => undefined,
        claims: async () => []
      }
    })
    try {
      const to = await transport.dial(addresses)
      const [first, second, third, unclaimed] = blocksOf(4, 1_000)
      if (!first || !second || !third || !unclaimed) throw new RangeError('four blocks')
      const about = { network, owner: identity.id, kind: 'upload', id: 'ab'.repeat(32), sequence: 1 } as const
      const keys = [first, second, third].map(({ cid }) => keyOf(cid))
      const change = { ...about, live: true, replicas: 3, lifetimeMs: 0 }
      const claims = signChange(change, keys, cryptoOf(identity))
      const entry = ({ cid, bytes }: typeof first): OutEntry => {
        return { key: keyOf(cid), bytes, proofs: [claims.get(keyOf(cid))?.proof ?? new Uint8Array(9)] }
      }
      const send = async (...entries: OutEntry[]): Promise<Answer[]> => {
        const answers: Answer[] = []
        await transport.sendBlocks(to, entries, { onAnswer: (answer) => void answers.push(answer) })
        return answers
      }
      const outcomes = (answers: Answer[]) =>
        answers.flatMap(({ items }) => items.map(({ outcome }) => outcome))

      const good = await send(entry(first), entry(unclaimed))
      assert.equal(outcomes(good), ['held', 'refused'])
      assert.ok(good[0]?.receipt)
      const wrong = await send({ ...entry(second), bytes: third.bytes })
      assert.equal(outcomes(wrong), ['refused'])
      assert.is(wrong[0]?.receipt, undefined)
      const { bytes: _bytes, ...claimOnly } = entry(third)
      const twice = await send(claimOnly, entry(third)).then(outcomes, () => ['failed', 'failed'])
      assert.equal(twice, ['failed', 'failed'])
      assert.equal(outcomes(await send(claimOnly)), ['absent'])
      assert.equal(outcomes(await send(entry(third))), ['held'])
      await codeOf(net.at(0).leave())
      const after = await onDisk(net.home(0), [first, second, third, unclaimed])
      assert.equal(
        after.map((stat) => stat !== undefined),
        [true, false, true, false]
      )
    } finally {
      await transport.close()
    }
  })
)

receive.run()
