/**
 * A client with a key of its own, and a node that lies to it over HTTP, in each field that it can: nothing
 * that a lie changed is ever signed, nothing that did not happen is believed, and another node does it.
 */
// limit: 120 s
// beside others
import { hash } from 'node:crypto'
import { type Client, createClient, newSeed, type RefKey, refKey } from '@cairn/client'
import {
  CairnError,
  decodeRefBody,
  encodeRefBody,
  fromHex,
  type PeerId,
  type RefBody,
  readRef,
  SIGNATURE_BYTES,
  signRef,
  signVote,
  toHex
} from '@cairn/core'
import { serveNode } from '@cairn/gateway'
import { CID } from 'multiformats/cid'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Nodes, openNodes } from '../../packages/node/test/support/nodes.ts'
import { type Json, type Liar, type Lie, startLiar } from './support/liar.ts'

const lying = suite('a lying node')
const DOMAIN_BYTES = 'cairn-ref/1\0'.length
const sha256 = (bytes: Uint8Array) => new Uint8Array(hash('sha256', bytes, 'buffer'))

interface Site {
  net: Nodes
  network: string
  liar: Liar
  roots: string[]
  /** All that its key signed. */
  signed: RefBody[]
  key: RefKey
  /** A new one, that has seen nothing: it asks the liar first. */
  fresh(): Client
  honest: Client
  /** Of the honest ones, with their tokens. */
  urls: { url: string; token: string }[]
  close(): Promise<void>
}

async function site(): Promise<Site> {
  const net = await openNodes(3)
  const servings = await Promise.all(net.nodes.map((node) => serveNode(node, { onStop: () => {} })))
  const urls = servings.map(({ url }, i) => ({ url, token: net.at(i).token }))
  const liar = await startLiar(urls[0]?.url ?? '')
  const own = await refKey(newSeed())
  const signed: RefBody[] = []
  const key: RefKey = {
    id: own.id,
    sign(bytes) {
      signed.push(decodeRefBody(bytes.subarray(DOMAIN_BYTES)))
      return own.sign(bytes)
    }
  }
  const honest = createClient({ urls: urls.slice(1), key })
  const roots: string[] = []
  for (const text of ['one', 'two', 'three']) roots.push(`${(await honest.put(text)).cid}`)
  return {
    net,
    network: net.at(0).network.id,
    liar,
    roots,
    signed,
    key,
    fresh: () =>
      createClient({ urls: [{ ...(urls[0] as { token: string }), url: liar.url }, ...urls.slice(1)], key }),
    honest,
    urls,
    async close() {
      await liar.close()
      await Promise.all(servings.map(({ close }) => close()))
      await net[Symbol.asyncDispose]()
    }
  }
}

const during = (body: (at: Site) => Promise<void>) => async () => {
  const at = await site()
  try {
    await body(at)
  } finally {
    await at.close()
  }
}

const STRANGERS = await Promise.all([1, 2, 3].map(async () => (await refKey(newSeed())).id))
const nobody = { sha256, sign: () => new Uint8Array(SIGNATURE_BYTES) }
const isDraft = (path: string) => path.endsWith('/draft')
const isProposal = (path: string) => path.endsWith('/propose')

/** The draft of the honest node, with something else in it. */
function drafting(change: (body: RefBody) => Partial<RefBody>): Lie {
  return ({ path }, answer) => {
    if (!isDraft(path) || answer.type !== 'draft') return undefined
    const body = decodeRefBody(fromHex(String(answer.body)))
    return { ...answer, body: toHex(encodeRefBody({ ...body, ...change(body) })) }
  }
}

/** Each field that a draft has, and what a liar might want there. */
const LIES: { [field in keyof RefBody]: (body: RefBody) => RefBody[field] } = {
  network: () => '1'.repeat(32),
  owner: () => STRANGERS[0] as PeerId,
  name: () => 'another',
  epoch: () => 1,
  since: ({ sequence }) => sequence,
  sequence: ({ sequence }) => sequence + 7,
  root: ({ history }) => history[0]?.root ?? Uint8Array.of(1),
  predecessors: () => [],
  replicas: () => 1,
  lifetimeMs: () => 1,
  electorate: () => STRANGERS,
  voters: () => [STRANGERS],
  keep: () => 0,
  history: () => [{ sequence: 1, root: Uint8Array.of(7) }],
  metadata: () => [{ key: 'alone', value: String(STRANGERS[0]) }]
}

/** What nothing but the wish and the network decides. */
const OF_FIRST = ['electorate', 'replicas', 'lifetimeMs', 'keep', 'metadata']

/** What was signed is what an honest node drafts. */
function honestly(at: Site, want: { name: string; sequence: number; root: string }): void {
  const members = new Set(at.net.nodes.map(({ id }) => id))
  assert.ok(at.signed.length > 0)
  for (const body of at.signed.splice(0)) {
    const { root, electorate, voters, history, network, owner, name, sequence, ...rest } = body
    assert.equal(rest, { ...rest, epoch: 0, since: 1, replicas: 3, lifetimeMs: 0, keep: 1, metadata: [] })
    assert.equal([network, owner, name, sequence], [at.network, at.key.id, want.name, want.sequence])
    assert.ok([...electorate, ...voters.flat()].every((peer) => members.has(peer)))
    assert.is(electorate.length, 3)
    assert.is(toHex(root ?? new Uint8Array()), toHex(CID.parse(want.root).bytes))
    assert.ok(history.every((past) => past.sequence < sequence && (past.root?.length ?? 0) > 30))
  }
}

lying(
  'no draft that a lie changed is signed, whichever field it is in',
  during(async (at) => {
    const [one = '', two = ''] = at.roots
    let sequence = 0
    for (const [field, lie] of Object.entries(LIES)) {
      at.liar.lie = drafting((body) => ({ [field]: lie(body) }))
      const before = at.liar.told
      if (OF_FIRST.includes(field)) {
        await at.fresh().refs.set(`first-${field}`, one)
        honestly(at, { name: `first-${field}`, sequence: 1, root: one })
        assert.ok(at.liar.told > before, `${field} of a first`)
      }
      const root = sequence % 2 === 0 ? one : two
      const told = at.liar.told
      const set = await at.fresh().refs.set('site', root)
      assert.is(set.sequence, ++sequence, field)
      if (sequence > 1) assert.ok(at.liar.told > told, field)
      honestly(at, { name: 'site', sequence, root })
      assert.is(`${(await at.honest.refs.get('site', { latest: true })).root}`, root)
    }
  })
)

lying(
  'a node that has just started bears out nothing until it knows the others; one that never does is told',
  during(async (at) => {
    const [one = '', two = ''] = at.roots
    const alone = at.net.at(0).id
    await at.honest.refs.set('site', one)
    at.signed.splice(0)
    const pair = () =>
      createClient({
        urls: [at.urls[1] as { url: string }, { ...at.urls[0], url: at.liar.url }],
        key: at.key
      })
    const knows = (answers: number): Lie => {
      const draft = drafting(() => ({ electorate: [alone] }))
      return (asked, answer) => {
        if (at.liar.told - before >= answers) return undefined
        if (asked.path !== '/v1/peers') return draft(asked, answer)
        return { peers: (answer.peers as Json[]).filter(({ id }) => id === alone) }
      }
    }
    let before = at.liar.told
    at.liar.lie = knows(7)
    assert.is((await pair().refs.set('site', two)).sequence, 2)
    assert.is(at.liar.told - before, 7)
    honestly(at, { name: 'site', sequence: 2, root: two })
    before = at.liar.told
    at.liar.lie = knows(Number.POSITIVE_INFINITY)
    const error = await pair()
      .refs.set('site', one)
      .then(
        () => undefined,
        (error) => error
      )
    assert.ok(CairnError.is(error, 'TOO_FEW_REPLICAS'), String(error))
    assert.match(error.hint ?? '', 'just started')
    assert.equal(at.signed, [])
    assert.is((await at.honest.refs.get('site', { latest: true })).sequence, 2)
  })
)

/** Votes that nobody cast, by members that could have. */
function madeUp(at: Site, hash: string): Json[] {
  return at.net.nodes.map(({ id, name }) => {
    const { bytes } = signVote({ network: at.network, voter: id, hash, timeMs: 1 }, nobody)
    return { peer: id, name, timeMs: 1, receipt: toHex(bytes) }
  })
}

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error) => (CairnError.is(error) ? error.code : String(error))
  )

const unread = { sha256, verify: () => true }

lying(
  'nothing that did not happen is believed: votes, records to finish, what others set, a past that is over',
  during(async (at) => {
    const [one = '', two = '', three = ''] = at.roots
    const first = await at.honest.refs.set('site', one)
    const proof = {
      record: toHex(first.record),
      receipts: first.receipts.map(({ receipt }) => toHex(receipt))
    }
    await at.honest.refs.set('site', two)
    at.signed.splice(0)
    const forged = (sequence: number) => {
      const { id: _, hash: __, bytes: ___, ...body } = readRef(first.record, at.network, unread)
      return signRef({ ...body, sequence, root: CID.parse(three).bytes, predecessors: [first.hash] }, nobody)
    }
    let proposed = ''
    const acknowledges: Lie = ({ path, body }) => {
      if (!isProposal(path)) return undefined
      proposed = String(body.record)
      const { hash } = readRef(fromHex(proposed), at.network, unread)
      return { type: 'acknowledged', receipts: madeUp(at, hash) }
    }
    const instead = (draft: () => Json): Lie => {
      return (asked, answer) => (isDraft(asked.path) ? draft() : acknowledges(asked, answer))
    }
    const lies: Record<string, Lie> = {
      'votes that nobody cast': acknowledges,
      'votes on another record': ({ path }) => {
        return isProposal(path)
          ? {
              type: 'acknowledged',
              receipts: first.receipts.map((one) => ({ ...one, receipt: toHex(one.receipt) }))
            }
          : undefined
      },
      'votes in no order at all': ({ path }) =>
        isProposal(path) ? { type: 'acknowledged', receipts: 7 } : undefined,
      'a record that the owner never signed': instead(() => ({
        type: 'finish',
        record: toHex(forged(3).bytes)
      })),
      'rivals that the owner never signed': instead(() => ({
        type: 'split',
        rivals: [3, 3].map((n) => toHex(forged(n).bytes))
      })),
      'another who was faster': instead(() => ({
        type: 'moved',
        best: { record: toHex(forged(9).bytes), receipts: [] }
      })),
      'a draft without a past': instead(() => ({ type: 'draft', body: 'ff', chain: 'none' })),
      'no such ref': drafting((body) => ({
        sequence: 1,
        predecessors: [],
        history: [],
        electorate: STRANGERS,
        voters: [STRANGERS],
        since: body.since
      })),
      'a past that is over': ({ path }, answer) => {
        if (!isDraft(path)) return undefined
        const body = decodeRefBody(fromHex(String(answer.body)))
        const old = {
          sequence: 2,
          predecessors: [first.hash],
          history: [{ sequence: 1, root: CID.parse(one).bytes }]
        }
        return { type: 'draft', body: toHex(encodeRefBody({ ...body, ...old })), chain: [proof] }
      }
    }
    let sequence = 2
    for (const [what, lie] of Object.entries(lies)) {
      const before = at.liar.told
      at.liar.lie = lie
      const root = sequence % 2 === 0 ? three : two
      const set = await at.fresh().refs.set('site', root)
      at.liar.lie = () => undefined
      assert.ok(at.liar.told > before, what)
      const now = await at.honest.refs.get('site', { latest: true })
      assert.equal([now.hash, `${now.root}`], [set.hash, root], what)
      assert.ok(set.sequence > sequence, what)
      sequence = set.sequence
      assert.ok(
        at.signed.splice(0).every(({ electorate }) => !electorate.includes(STRANGERS[0] as PeerId)),
        what
      )
    }
    // the same past, told to one that has seen more: the node may be honest, and know less
    const knowing = createClient({ url: at.liar.url, token: at.net.at(0).token, key: at.key })
    await knowing.refs.get('site')
    at.liar.lie = lies['a past that is over'] as Lie
    assert.is(await codeOf(knowing.refs.set('site', one)), 'TOO_FEW_REPLICAS')
    assert.equal(at.signed, [])
    // what we signed and gave to the liar alone, told as set already
    const given: Lie = ({ path, body }, answer) => {
      if (isProposal(path)) proposed = String(body.record)
      if (isProposal(path)) return { type: 'acknowledged', receipts: [] }
      return isDraft(path) && proposed !== ''
        ? { type: 'moved', best: { record: proposed, receipts: [] } }
        : answer
    }
    proposed = ''
    at.liar.lie = given
    const alone = createClient({ url: at.liar.url, token: at.net.at(0).token, key: at.key })
    assert.is(await codeOf(alone.refs.set('site', one)), 'BAD_MESSAGE')
    assert.ok(proposed !== '')
  })
)

lying(
  'what a name points to, and has pointed to, is what its owner signed',
  during(async (at) => {
    const [one = '', two = ''] = at.roots
    const first = await at.honest.refs.set('site', one)
    const second = await at.honest.refs.set('site', two)
    const lies: Record<string, (ref: Json) => Json> = {
      'a later sequence on an earlier record': () => ({ ...told(first), sequence: 9 }),
      'another root': (ref) => ({ ...ref, root: one }),
      'another past': (ref) => ({ ...ref, history: [{ sequence: 1, root: two }] }),
      'other words': (ref) => ({ ...ref, metadata: { promoted: 'yes' } }),
      'other voters': (ref) => ({ ...ref, electorate: STRANGERS.map((peer) => ({ peer, name: 'x' })) }),
      'no votes': (ref) => ({ ...ref, receipts: [] }),
      'made-up votes': (ref) => ({ ...ref, receipts: madeUp(at, second.hash) }),
      'a rival that nobody signed': (ref) => ({ ...ref, rivals: [{ ...ref, record: '00' }] })
    }
    for (const [what, lie] of Object.entries(lies)) {
      const client = at.fresh()
      assert.is((await client.refs.get('site')).sequence, 2)
      at.liar.lie = ({ path, method }, answer) => {
        const isRead = method === 'GET' && path.includes('/site') && answer.ref !== undefined
        return isRead ? { ref: lie(answer.ref as Json) } : undefined
      }
      const before = at.liar.told
      const { sequence, root, history, metadata, electorate, rivals } = await client.refs.get('site')
      const { root: past } = await client.refs.resolve('site@1')
      at.liar.lie = () => undefined
      assert.ok(at.liar.told > before, what)
      assert.equal([sequence, `${root}`, `${history[0]?.root}`, `${past}`], [2, two, one, one], what)
      assert.equal([metadata, rivals], [{}, []], what)
      assert.not(
        electorate.some(({ peer }) => STRANGERS.includes(peer)),
        what
      )
    }
  })
)

function told({
  root,
  history,
  record,
  receipts,
  ...rest
}: Awaited<ReturnType<Client['refs']['set']>>): Json {
  return {
    ...rest,
    root: `${root}`,
    history: history.map((past) => ({ ...past, root: `${past.root}` })),
    record: toHex(record),
    receipts: receipts.map((one) => ({ ...one, receipt: toHex(one.receipt) }))
  }
}

lying.run()
