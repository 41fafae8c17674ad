import {
  type Config,
  encode,
  GOSSIP_LIMITS,
  type Gossip,
  gossipCodec,
  leftStatement,
  type Member,
  type MemberState,
  members,
  type PeerId,
  pick,
  seeded,
  type TableEntry
} from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { put, quieten } from '../src/table.ts'
import { alive, NO_DIGEST, peer, type Scene, scene, sealOf, sent } from './support/scene.ts'

function hold(self: Scene, member: Member, signature?: Uint8Array): void {
  put(self.state.table, member, self.nowMs, signature)
}

/** A scene under another name, and of the same members otherwise. */
function sceneOf(name: string, config: Partial<Config> = {}): Scene {
  return scene([], config, name)
}

const contentOf = (self: Scene) =>
  members(self.state)
    .map(({ id, incarnation, state }) => `${id} ${incarnation} ${state}`)
    .sort()
    .join('\n')

/** Lets `a` start an exchange with `b` and passes all messages of it; their bytes. */
function exchange(a: Scene, b: Scene): number {
  const ping: Gossip = { type: 'ping', seq: 1, digest: NO_DIGEST, rumours: [] }
  const scenes = new Map([
    [a.state.self, a],
    [b.state.self, b]
  ])
  let bytes = 0
  const begun = sent(a.hear(b.state.self, ping), 'digests')
  const waiting: { from: PeerId; to: PeerId; message: Gossip }[] = begun.map(({ to, message }) => ({
    from: a.state.self,
    to,
    message
  }))
  for (let i = 0; waiting.length > 0; i++) {
    assert.ok(i < 10_000, 'an exchange without end')
    const { from, to, message } = waiting.shift() as (typeof waiting)[number]
    const size = encode(gossipCodec, message).length
    assert.ok(size <= GOSSIP_LIMITS.messageBytes)
    bytes += size
    a.nowMs += 10
    b.nowMs = a.nowMs
    for (const action of scenes.get(to)?.hear(from, message) ?? []) {
      if (action.type !== 'send' || !scenes.has(action.to)) continue
      if (['digests', 'summary', 'entries'].includes(action.message.type))
        waiting.push({ ...action, from: to })
    }
  }
  a.nowMs += 10_000
  b.nowMs = a.nowMs
  return bytes
}

const exchanges = suite('exchange')

exchanges('costs under 4 kB where tables of 10,000 differ by one member', () => {
  for (const other of [undefined, alive('m77', 1), { ...alive('m77', 1), state: 'leaving' } as Member]) {
    const [a, b] = [sceneOf('a'), sceneOf('b')]
    for (let i = 0; i < 10_000; i++) {
      hold(a, alive(`m${i}`))
      if (i !== 77) hold(b, alive(`m${i}`))
      else if (other !== undefined) hold(b, other)
    }
    hold(a, alive('b'))
    hold(b, alive('a'))
    const bytes = exchange(a, b)
    assert.equal(contentOf(a), contentOf(b))
    assert.ok(bytes < 4_096, `${bytes} bytes`)
  }
})

exchanges('gives a newcomer the whole table in pages', () => {
  const [a, b] = [sceneOf('a'), sceneOf('b')]
  for (let i = 0; i < 9_000; i++) hold(a, alive(`m${i}`))
  hold(a, alive('b'))
  exchange(b, a)
  assert.is(members(b.state).length, 9_002)
  assert.is(members(a.state).length, 9_002)
})

exchanges('makes any two tables the same, but for deaths that one side must first confirm', () => {
  const states: MemberState[] = ['alive', 'leaving', 'dead', 'left']
  for (let seed = 0; seed < 30; seed++) {
    const random = seeded(seed)
    const [a, b] = [sceneOf('a'), sceneOf('b')]
    hold(a, alive('b'))
    hold(b, alive('a'))
    for (let i = 0; i < 300; i++) {
      for (const self of [a, b]) {
        if (random() < 0.2) continue
        const state = states[pick(random, states.length)] as MemberState
        const incarnation = pick(random, 3)
        const member = { ...alive(`m${i}`, incarnation), state } as Member
        const signature = sealOf(member.id, leftStatement(member.id, incarnation))
        hold(self, member, state === 'left' ? signature : undefined)
      }
    }
    for (let round = 0; round < 6; round++) exchange(...((round % 2 ? [a, b] : [b, a]) as [Scene, Scene]))
    for (const suspect of members(a.state)) settle(a, b, suspect)
    for (const suspect of members(b.state)) settle(b, a, suspect)
    assert.is(contentOf(a), contentOf(b), `seed ${seed}`)
  }
})

/** Death is not taken from a table: there it is only an accusation. */
function settle(a: Scene, b: Scene, { id, state, incarnation }: Member): void {
  if (state !== 'suspect' && !a.state.suspicions.has(id)) return
  const there = b.member(id)
  assert.is(there?.state, 'dead')
  assert.is(there?.incarnation, incarnation)
  a.hear(`judge of ${id}`, { type: 'news', rumours: [{ type: 'dead', id, incarnation }] })
}

exchanges('brings a stranger that left only with its signature', () => {
  const entry = (signature: Uint8Array | undefined): TableEntry => ({
    member: { ...alive('x', 4), state: 'left' },
    agoS: 10,
    signature
  })
  const page = (...entries: TableEntry[]): Gossip => ({
    type: 'entries',
    bits: 0,
    entries,
    wants: [],
    more: false
  })
  const self = scene(['a'])
  self.hear('a', page(entry(undefined)))
  self.hear('a', page(entry(sealOf('a', leftStatement(peer('x'), 4)))))
  assert.is(self.member('x'), undefined)
  self.hear('a', page(entry(sealOf('x', leftStatement(peer('x'), 4)))))
  assert.is(self.member('x')?.state, 'left')
})

exchanges('never brings back what all are about to forget', () => {
  const forgetMs = 1_000_000
  const self = scene(['a'], { forgetMs })
  const gone = (agoS: number): Gossip => ({
    type: 'entries',
    bits: 0,
    entries: [{ member: { ...alive('x'), state: 'dead' }, agoS, signature: undefined }],
    wants: [],
    more: false
  })
  self.hear('a', gone(501))
  assert.is(self.member('x'), undefined)
  self.hear('a', gone(499))
  assert.is(self.member('x')?.state, 'dead')
  const [a, b] = [sceneOf('a'), sceneOf('b')]
  for (const one of [a, b]) for (const name of ['a', 'b']) if (one.state.self !== name) hold(one, alive(name))
  hold(a, { ...alive('x'), state: 'dead' })
  quieten(a.state.table, a.state.table.known.get(peer('x')) as never)
  exchange(b, a)
  exchange(a, b)
  assert.is(b.member('x'), undefined)
})

exchanges('ignores parts that do not exist', () => {
  const self = scene(['a'])
  const silly: Gossip[] = [
    { type: 'digests', bits: 9, digests: [] },
    { type: 'digests', bits: 1, digests: [1, 2] },
    { type: 'summary', bits: 40, parts: [{ part: 0, items: [] }], more: true },
    { type: 'summary', bits: 1, parts: [{ part: 2, items: [] }], more: true },
    { type: 'entries', bits: 255, entries: [], wants: [{ part: 0, tag: 1 }], more: true },
    { type: 'entries', bits: 0, entries: [], wants: [{ part: 9, tag: 1 }], more: true }
  ]
  for (const message of silly) assert.equal(self.hear('a', message), [], JSON.stringify(message))
})

exchanges.run()
