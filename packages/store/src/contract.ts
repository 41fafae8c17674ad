/**
 * What every store must do, as facts that can be run: `for (const [fact, check] of storeContract(open))
 * test(fact, check)`. Takes no test framework, so that other stores can run it under their own.
 */
import assert from 'node:assert/strict'
import { createHash, hash } from 'node:crypto'
import {
  type BlockKey,
  blockKey,
  CairnError,
  concat,
  fromHex,
  type HeldClaim,
  slotOf,
  toHex
} from '@cairn/core'
import { claimsDigest } from './claims.ts'
import type { BlockStat, SlotSummary, Store } from './store.ts'

/** A fresh, empty store for one check, with room for `capacity` bytes. */
export interface Opened {
  store: Store
  /** Closes it, whatever is open by now, and leaves nothing behind. */
  close: () => Promise<void>
  /** Closes and opens again what is kept; absent for a store that keeps nothing. */
  reopen?: () => Promise<Store>
  /** Damages the copy of a block behind the store's back; absent where that can't be done. */
  damage?: (key: BlockKey) => Promise<void>
}

export interface ContractOptions {
  capacity: number
  onLost: (key: BlockKey) => void
}

export type Fact = readonly [fact: string, check: () => Promise<void>]
type OpenStore = (options: ContractOptions) => Promise<Opened>

/** Room enough for all that the facts put, and for a disk store's least. */
const ROOMY_BYTES = 64 * 1024 * 1024

/** A block of `size` bytes that no other `seed` gives, and its key. */
export function sampleBlock(seed: number, size = 100): { key: BlockKey; bytes: Uint8Array } {
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i + 8 <= size; i += 8) {
    view.setUint32(i, seed)
    view.setUint32(i + 4, i)
  }
  return { key: sha256Key(bytes), bytes }
}

/** A claim with a short proof. */
export function sampleClaim(claimant: string, claim: Partial<HeldClaim> = {}): HeldClaim {
  return { claimant, sequence: 1, live: true, replicas: 3, proof: fromHex(claimant), ...claim }
}

const slotOfSample = ({ key }: Sample): number => slotOf(key)

function sha256Key(bytes: Uint8Array): BlockKey {
  return blockKey(Uint8Array.of(0x12, 32, ...hash('sha256', bytes, 'buffer')))
}

const ONE = sampleClaim('01')
const TWO = sampleClaim('02', { replicas: 5 })

export function storeContract(open: OpenStore): Fact[] {
  const run = (check: (opened: Opened, lost: BlockKey[]) => Promise<void>, capacity = ROOMY_BYTES) => {
    return async (): Promise<void> => {
      const lost: BlockKey[] = []
      const opened = await open({ capacity, onLost: (key) => lost.push(key) })
      try {
        await check(opened, lost)
      } finally {
        await opened.close()
      }
    }
  }
  return [
    ...blockFacts(run),
    ...claimFacts(run),
    ...collectFacts(run),
    ...mirrorFacts(run),
    ...listFacts(run),
    ...changeFacts(run),
    ...limitFacts(run)
  ]
}

type Run = (check: (opened: Opened, lost: BlockKey[]) => Promise<void>, capacity?: number) => Fact[1]

function blockFacts(run: Run): Fact[] {
  return [
    [
      'what is put is got, and survives opening again',
      run(async ({ store, reopen }) => {
        const blocks = [
          sampleBlock(1, 0),
          sampleBlock(2, 1),
          sampleBlock(3, 1000),
          sampleBlock(4, 2 * 1024 * 1024)
        ]
        await store.put(blocks.map((block) => ({ ...block, claims: [ONE] })))
        for await (const again of nowAndReopened(store, reopen)) {
          for (const { key, bytes } of blocks) assert.deepEqual(await again.get(key), bytes)
          assert.equal(again.usage().blocks, 4)
          assert.equal(again.usage().bytes, 2 * 1024 * 1024 + 1001)
        }
      })
    ],
    [
      'sha2-512 and blake3 name blocks too',
      run(async ({ store }) => {
        const text = new TextEncoder().encode('cairn')
        const sha512 = blockKey(Uint8Array.of(0x13, 64, ...hash('sha512', text, 'buffer')))
        // BLAKE3's own test vectors: the hash of no bytes.
        const blake3 = '1e20af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262' as BlockKey
        await store.put([{ key: sha512, bytes: text, claims: [ONE] }])
        await store.put([{ key: blake3, bytes: new Uint8Array(0), claims: [ONE] }])
        assert.deepEqual(await store.get(sha512), text)
        assert.deepEqual(await store.get(blake3), new Uint8Array(0))
      })
    ],
    [
      'a copy is verified when its bytes are good, and put aside when they are not',
      run(async ({ store, damage }, lost) => {
        const [good, bad] = [sampleBlock(1), sampleBlock(2)]
        await store.put([good, bad].map((block) => ({ ...block, claims: [ONE] })))
        await damage?.(bad.key)
        assert.deepEqual(await store.verified(good.key), await store.stat(good.key))
        assert.equal(await store.verified(sampleBlock(3).key), undefined)
        if (damage === undefined) return
        assert.equal(await store.verified(bad.key), undefined)
        assert.deepEqual(lost, [bad.key])
      })
    ],
    [
      'a copy is let go of only under the very claims that are named, whatever comes at the same time',
      run(async ({ store }) => {
        const blocks = [1, 2, 3, 4].map((seed) => sampleBlock(seed))
        const [same, other, ended, racing] = blocks.map(({ key }) => key) as [
          BlockKey,
          BlockKey,
          BlockKey,
          BlockKey
        ]
        await store.put(blocks.map((block) => ({ ...block, claims: [ONE, TWO] })))
        await store.put([{ key: other, claims: [sampleClaim('03')] }])
        await store.put([{ key: ended, claims: [{ ...TWO, live: false }] }])
        const claims = [ONE, TWO]
        const together = store.put([{ key: racing, claims: [sampleClaim('03')] }])
        const copies = [same, other, ended, racing, sampleBlock(9).key].map((key) => ({ key, claims }))
        await Promise.all([together, store.letGo(copies)])
        assert.equal(await store.get(same), undefined)
        for (const key of [other, ended, racing]) assert.ok(await store.get(key), key)
      })
    ],
    [
      'what was never put is absent',
      run(async ({ store }) => {
        assert.equal(await store.get(sampleBlock(1).key), undefined)
        assert.equal(await store.stat(sampleBlock(1).key), undefined)
      })
    ],
    [
      'bytes that do not match their key are refused, and nothing of the call is kept',
      run(async ({ store }) => {
        const [good, bad] = [sampleBlock(1), { ...sampleBlock(2), bytes: sampleBlock(3).bytes }]
        const error = await failure(
          store.put([
            { ...good, claims: [ONE] },
            { ...bad, claims: [ONE] }
          ]),
          'BLOCK_CORRUPT'
        )
        assert.ok(error.message.includes(bad.key), 'the error names the key')
        assert.equal(await store.get(good.key), undefined)
        assert.equal(store.usage().blocks, 0)
      })
    ],
    [
      'a block above 2 MiB is refused',
      run(async ({ store }) => {
        await failure(
          store.put([{ ...sampleBlock(1, 2 * 1024 * 1024 + 1), claims: [ONE] }]),
          'BLOCK_TOO_LARGE'
        )
      })
    ],
    [
      'the same block put many times at once is kept once',
      run(async ({ store }) => {
        const block = sampleBlock(1)
        const entry = { ...block, claims: [ONE] }
        await Promise.all(Array.from({ length: 20 }, () => store.put([entry, entry])))
        assert.equal(store.usage().blocks, 1)
        assert.equal(store.usage().bytes, block.bytes.length)
        const before = store.usage().diskBytes
        await store.put([entry])
        assert.equal(store.usage().diskBytes, before, 'putting again costs no room')
      })
    ],
    [
      'a deleted block is absent, and can be put again',
      run(async ({ store, reopen }) => {
        const [kept, gone] = [sampleBlock(1), sampleBlock(2)]
        await store.put([kept, gone].map((block) => ({ ...block, claims: [ONE] })))
        await store.delete([gone.key, sampleBlock(3).key])
        const again = (await reopen?.()) ?? store
        assert.equal(await again.get(gone.key), undefined)
        assert.equal(await again.stat(gone.key), undefined)
        assert.deepEqual(await again.get(kept.key), kept.bytes)
        await again.put([{ ...gone, claims: [TWO] }])
        assert.deepEqual(await again.get(gone.key), gone.bytes)
        assert.deepEqual((await again.stat(gone.key))?.claims, [TWO])
      })
    ],
    [
      'a damaged copy is never returned: it is reported once, absent, and can be put again',
      run(async (opened, lost) => {
        const { store, damage } = opened
        if (damage === undefined) return
        const [hurt, fine] = [sampleBlock(1, 5000), sampleBlock(2, 5000)]
        await store.put([hurt, fine].map((block) => ({ ...block, claims: [ONE] })))
        await damage(hurt.key)
        assert.equal(await store.get(hurt.key), undefined)
        assert.equal(await store.get(hurt.key), undefined)
        assert.deepEqual(lost, [hurt.key])
        assert.equal(await store.stat(hurt.key), undefined)
        assert.equal(store.usage().blocks, 1)
        assert.deepEqual(await store.get(fine.key), fine.bytes)
        await store.put([{ ...hurt, claims: [ONE] }])
        assert.deepEqual(await store.get(hurt.key), hurt.bytes)
      })
    ],
    [
      'the caller may change its bytes once a put settled, and those it got',
      run(async ({ store }) => {
        const { key, bytes } = sampleBlock(1)
        const mine = bytes.slice()
        await store.put([{ key, bytes: mine, claims: [ONE] }])
        mine.fill(0xff)
        ;(await store.get(key))?.fill(0xff)
        assert.deepEqual(await store.get(key), bytes)
      })
    ]
  ]
}

function claimFacts(run: Run): Fact[] {
  return [
    [
      'claims are kept with their proofs, sorted by claimant',
      run(async ({ store, reopen }) => {
        const { key, bytes } = sampleBlock(1)
        await store.put([{ key, bytes, claims: [TWO, ONE] }])
        for await (const again of nowAndReopened(store, reopen)) {
          assert.deepEqual(await again.stat(key), {
            key,
            size: bytes.length,
            replicas: 5,
            claims: [ONE, TWO]
          })
        }
      })
    ],
    [
      'claims without bytes join a block that is held, durably',
      run(async ({ store, reopen }) => {
        const { key, bytes } = sampleBlock(1)
        await store.put([{ key, bytes, claims: [ONE] }])
        await store.put([{ key, claims: [TWO] }])
        const again = (await reopen?.()) ?? store
        assert.deepEqual((await again.stat(key))?.claims, [ONE, TWO])
        assert.deepEqual(await again.get(key), bytes)
      })
    ],
    [
      'claims without bytes for a block not held are NOT_FOUND',
      run(async ({ store }) => {
        await failure(store.put([{ key: sampleBlock(1).key, claims: [ONE] }]), 'NOT_FOUND')
        assert.equal(store.usage().blocks, 0)
      })
    ],
    [
      'one call may bring the bytes and the claims of a block apart',
      run(async ({ store }) => {
        const { key, bytes } = sampleBlock(1)
        await store.put([
          { key, claims: [ONE] },
          { key, bytes, claims: [TWO] }
        ])
        assert.deepEqual((await store.stat(key))?.claims, [ONE, TWO])
      })
    ],
    [
      'the highest sequence wins, whatever the order',
      run(async ({ store }) => {
        const { key, bytes } = sampleBlock(1)
        const late = sampleClaim('01', { sequence: 7, replicas: 2 })
        await store.put([{ key, bytes, claims: [late] }])
        await store.put([{ key, claims: [sampleClaim('01', { sequence: 6, live: false })] }])
        assert.deepEqual((await store.stat(key))?.claims, [late])
        const later = sampleClaim('01', { sequence: 8, live: false })
        await store.put([{ key, bytes, claims: [later, late] }])
        assert.deepEqual((await store.stat(key))?.claims, [later])
      })
    ],
    [
      'of two claims with one sequence the ended one wins',
      run(async ({ store }) => {
        const { key, bytes } = sampleBlock(1)
        const ended = { ...ONE, live: false }
        await store.put([{ key, bytes, claims: [ONE] }])
        await store.put([{ key, claims: [ended] }])
        await store.put([{ key, claims: [ONE] }])
        assert.deepEqual((await store.stat(key))?.claims, [ended])
      })
    ],
    [
      'N is the most that a live claim wants, else the most that an ended one did',
      run(async ({ store }) => {
        const { key, bytes } = sampleBlock(1)
        await store.put([{ key, bytes, claims: [ONE, TWO] }])
        await store.put([{ key, claims: [{ ...TWO, live: false }] }])
        assert.equal((await store.stat(key))?.replicas, 3)
        await store.put([{ key, claims: [{ ...ONE, live: false }] }])
        assert.equal((await store.stat(key))?.replicas, 5)
      })
    ],
    [
      "a malformed claim is the caller's bug",
      run(async ({ store }) => {
        const { key, bytes } = sampleBlock(1)
        const wrong: Partial<HeldClaim>[] = [
          { claimant: '' },
          { claimant: 'AB' },
          { claimant: '00'.repeat(34) },
          { sequence: -1 },
          { sequence: 0.5 },
          { replicas: 0 },
          { replicas: 33 },
          { proof: new Uint8Array(4097) }
        ]
        for (const claim of wrong) {
          await assert.rejects(store.put([{ key, bytes, claims: [{ ...ONE, ...claim }] }]), RangeError)
        }
      })
    ]
  ]
}

const ENDED = { ...ONE, sequence: 2, live: false }

function collectFacts(run: Run): Fact[] {
  return [
    [
      'a block of which every claim has ended is told of apart, and counts in no slot',
      run(async ({ store, reopen }) => {
        const [ended, mixed, bare] = [1, 2, 3].map((seed) => sampleBlock(seed)) as [Sample, Sample, Sample]
        await store.put([
          { ...ended, claims: [ENDED] },
          { ...mixed, claims: [ENDED, TWO] },
          { ...bare, claims: [] }
        ])
        let latest = store
        for await (const again of nowAndReopened(store, reopen)) {
          const summaries = await again.changes(100)
          assert.deepEqual(
            new Set(summaries.map(({ slot }) => slot)),
            new Set([mixed, bare].map(slotOfSample))
          )
          const { blocks, next } = await again.ended({ collected: false, fromSlot: 0, limit: 10 })
          assert.deepEqual([blocks.map(({ key }) => key), next], [[ended.key], undefined])
          assert.deepEqual(
            (await again.ended({ collected: false, fromSlot: slotOf(ended.key) + 1, limit: 10 })).blocks,
            []
          )
          assert.ok(await again.get(ended.key), 'it is there until it is collected')
          latest = again
        }
        await latest.put([{ key: ended.key, claims: [TWO] }])
        await latest.changes(100)
        assert.deepEqual(
          (await latest.ended({ collected: false, fromSlot: 0, limit: 10 })).blocks,
          [],
          'claimed again'
        )
      })
    ],
    [
      'a collected block is gone, its ended claims are kept, and it can be put again',
      run(async ({ store, reopen }) => {
        const [one, two] = [sampleBlock(1), sampleBlock(2)]
        await store.put([one, two].map((block) => ({ ...block, claims: [ENDED] })))
        await store.collect([
          { key: one.key, claims: [ENDED] },
          { key: two.key, claims: [ENDED, TWO] }
        ])
        assert.ok(await store.get(two.key), 'under other claims than those named it stays')
        for await (const again of nowAndReopened(store, reopen)) {
          assert.equal(await again.get(one.key), undefined)
          assert.equal(await again.stat(one.key), undefined)
          assert.deepEqual(await again.known(one.key), {
            key: one.key,
            held: false,
            replicas: 3,
            claims: [ENDED]
          })
          const { blocks } = await again.ended({ collected: true, fromSlot: 0, limit: 10 })
          assert.deepEqual(
            blocks.map(({ key }) => key),
            [one.key]
          )
          assert.deepEqual([again.usage().blocks, again.usage().bytes], [1, two.bytes.length])
          await again.put([{ key: one.key, claims: [{ ...TWO, live: false }] }])
          assert.equal((await again.known(one.key))?.claims.length, 2, 'ended claims are added')
          await assert.rejects(again.put([{ key: one.key, claims: [TWO] }]), (error) =>
            CairnError.is(error, 'NOT_FOUND')
          )
          await again.put([{ ...one, claims: [sampleClaim('04')] }])
          assert.deepEqual(await again.get(one.key), one.bytes)
          assert.equal((await again.stat(one.key))?.claims.length, 3, 'and what had ended is not forgotten')
          await again.delete([one.key])
          assert.equal(await again.known(one.key), undefined)
          await again.put([{ ...one, claims: [ENDED] }])
          await again.collect([{ key: one.key, claims: [ENDED] }])
        }
      })
    ],
    [
      'what is claimed while it is collected stays',
      run(async ({ store }) => {
        const { key, bytes } = sampleBlock(1)
        await store.put([{ key, bytes, claims: [ENDED] }])
        const claim = store.put([{ key, claims: [TWO] }])
        await Promise.all([claim, store.collect([{ key, claims: [ENDED] }])])
        assert.deepEqual(await store.get(key), bytes)
        await store.collect([{ key, claims: [ENDED, TWO] }])
        assert.deepEqual(await store.get(key), bytes, 'a live claim is never collected')
      })
    ]
  ]
}

const MIRROR = '02'.repeat(33)
const MIRRORS = sampleClaim(MIRROR, { replicas: 1 })
const MIRRORS_END = { ...MIRRORS, sequence: 2, live: false }

function mirrorFacts(run: Run): Fact[] {
  const listed = { collected: false, fromSlot: 0, limit: 10 }
  return [
    [
      'a copy under a mirror alone is read, and is no copy to anybody who counts',
      run(async ({ store, reopen }) => {
        const one = sampleBlock(1)
        await store.put([{ ...one, claims: [MIRRORS] }])
        for await (const again of nowAndReopened(store, reopen)) {
          assert.deepEqual(await again.get(one.key), one.bytes)
          assert.deepEqual((await again.read([one.key]))[0], { bytes: one.bytes, claims: [] })
          assert.deepEqual(await again.changes(10), [], 'in no slot')
          assert.deepEqual(await again.list(slotOfSample(one), { limit: 10 }), [])
          assert.deepEqual((await again.lists([slotOfSample(one)], 10)).get(slotOfSample(one)), [])
          assert.deepEqual((await again.ended(listed)).blocks, [])
          for (const told of [await again.stat(one.key), await again.known(one.key)]) {
            assert.deepEqual(told?.claims, [])
          }
          assert.deepEqual((await again.knownHeads([one.key]))[0]?.claims, [])
          const sizes = await again.mirroredSizes([one.key, sampleBlock(2).key], MIRROR)
          assert.deepEqual(sizes, [one.bytes.length, undefined])
          const page = await again.listMirrored({ claimant: MIRROR, fromSlot: 0, limit: 10 })
          assert.deepEqual(page.keys, [one.key])
        }
      })
    ],
    [
      "a holder's copy that a mirror keeps too counts as before, and is not let go of nor collected",
      run(async ({ store }) => {
        const one = sampleBlock(1)
        await store.put([{ ...one, claims: [ONE] }])
        const before = await store.changes(10)
        await store.put([{ key: one.key, claims: [MIRRORS] }])
        assert.deepEqual(await store.changes(10), before, 'compared by what is shared')
        assert.equal((await store.heads([one.key]))[0]?.mirrored, true)
        assert.deepEqual((await store.stat(one.key))?.claims, [ONE])
        await store.letGo([{ key: one.key, claims: [ONE] }])
        await store.put([{ key: one.key, claims: [ENDED] }])
        assert.deepEqual((await store.changes(10))[0]?.blocks, 0, 'nobody claims it')
        assert.deepEqual((await store.ended(listed)).blocks, [], 'but the mirror does')
        await store.collect([{ key: one.key, claims: [ENDED] }])
        assert.deepEqual(await store.get(one.key), one.bytes)
        await store.unmirror([{ key: one.key, claim: MIRRORS_END }])
        await store.changes(10)
        assert.deepEqual(
          (await store.ended(listed)).blocks.map(({ claims }) => claims.map(({ claimant }) => claimant)),
          [['01']]
        )
        await store.collect([{ key: one.key, claims: [ENDED] }])
        assert.equal(await store.get(one.key), undefined)
        assert.equal((await store.known(one.key))?.held, false)
      })
    ],
    [
      "what a mirror's end leaves to nobody is deleted, and what others keep stays",
      run(async ({ store, reopen }) => {
        const [alone, both, other] = [1, 2, 3].map((seed) => sampleBlock(seed)) as [Sample, Sample, Sample]
        const another = sampleClaim(`02${'ab'.repeat(32)}`)
        await store.put([
          { ...alone, claims: [MIRRORS] },
          { ...both, claims: [ONE, MIRRORS] },
          { ...other, claims: [another, MIRRORS] }
        ])
        await store.unmirror([alone, both, other].map(({ key }) => ({ key, claim: MIRRORS_END })))
        for await (const again of nowAndReopened(store, reopen)) {
          assert.equal(await again.get(alone.key), undefined)
          assert.equal(await again.known(alone.key), undefined)
          assert.deepEqual(await again.get(both.key), both.bytes)
          assert.deepEqual((await again.heads([both.key]))[0]?.mirrored, undefined)
          assert.deepEqual(await again.get(other.key), other.bytes)
          const keys = [alone, both, other].map(({ key }) => key)
          assert.deepEqual(
            await again.mirroredSizes(keys, MIRROR),
            keys.map(() => undefined)
          )
        }
      })
    ],
    [
      'an older end does not take from a mirror what it has claimed again',
      run(async ({ store }) => {
        const one = sampleBlock(1)
        await store.put([{ ...one, claims: [{ ...MIRRORS, sequence: 3 }] }])
        await store.unmirror([{ key: one.key, claim: MIRRORS_END }])
        assert.deepEqual(await store.get(one.key), one.bytes)
      })
    ]
  ]
}

function listFacts(run: Run): Fact[] {
  return [
    [
      'a slot is listed in order of key, in pages',
      run(async ({ store, reopen }) => {
        const blocks = sameSlot(5)
        const slot = slotOf(blocks[0]?.key as BlockKey)
        const other = sampleBlock(0)
        await store.put([other, ...blocks].map((block) => ({ ...block, claims: [ONE] })))
        const keys = blocks.map(({ key }) => key).sort()
        for await (const again of nowAndReopened(store, reopen)) {
          const page = await again.list(slot, { limit: 3 })
          assert.deepEqual(
            page.map(({ key }) => key),
            keys.slice(0, 3)
          )
          const rest = await again.list(slot, { limit: 3, after: keys[2] as BlockKey })
          assert.deepEqual(
            rest.map(({ key }) => key),
            keys.slice(3)
          )
          assert.deepEqual(rest[0], (await again.heads([keys[3] as BlockKey]))[0])
          assert.deepEqual(await again.list(slot === 0 ? 1 : slot - 1, { limit: 3 }), [])
        }
      })
    ],
    [
      'many slots are listed at once as one by one',
      run(async ({ store, reopen }) => {
        const blocks = [...Array.from({ length: 40 }, (_, i) => sampleBlock(i)), ...sameSlot(5)]
        await store.put(blocks.map((block) => ({ ...block, claims: [TWO, ONE] })))
        const slots = [...new Set(blocks.map(({ key }) => slotOf(key)))].reverse()
        const asked = [...slots.slice(0, 20), 0, 1, 65_535, ...slots.slice(25)]
        for await (const again of nowAndReopened(store, reopen)) {
          const lists = await again.lists(asked, 3)
          assert.deepEqual([...lists.keys()].sort(), [...new Set(asked)].sort())
          for (const [slot, list] of lists) assert.deepEqual(list, await again.list(slot, { limit: 3 }))
          assert.ok([...lists.values()].flat().length > 20)
          assert.deepEqual(await again.lists([], 3), new Map())
        }
      })
    ],
    [
      'heads are stats but for the proofs, in the order asked; what is not held has none',
      run(async ({ store }) => {
        const [one, two] = [sampleBlock(1), sampleBlock(2)]
        await store.put([{ ...one, claims: [TWO, ONE] }])
        const [first, none, second] = await store.heads([one.key, two.key, one.key])
        assert.deepEqual([none, second], [undefined, first])
        const { size, replicas, claims } = (await store.stat(one.key)) as BlockStat
        assert.deepEqual([first?.size, first?.replicas], [size, replicas])
        const said = (of: readonly Omit<HeldClaim, 'proof'>[] = []) =>
          of.map(({ claimant, sequence, live }) => [claimant, sequence, live])
        assert.deepEqual(said(first?.claims), said(claims))
      })
    ],
    [
      'read gives bytes and claims with their proofs, in the order asked; what is not held has none',
      run(async ({ store }) => {
        const [one, two, none] = [sampleBlock(1), sampleBlock(2), sampleBlock(3)]
        await store.put([
          { ...one, claims: [ONE, TWO] },
          { ...two, claims: [TWO] }
        ])
        const read = await store.read([two.key, none.key, one.key])
        assert.deepEqual(read, [
          { bytes: two.bytes, claims: [TWO] },
          undefined,
          { bytes: one.bytes, claims: [ONE, TWO] }
        ])
      })
    ]
  ]
}

function changeFacts(run: Run): Fact[] {
  return [
    [
      'after open every slot that holds blocks has changed, once',
      run(async ({ store, reopen }) => {
        const blocks = [...sameSlot(3), sampleBlock(0)]
        await store.put(blocks.map((block) => ({ ...block, claims: [ONE] })))
        const first = await drain(store)
        assert.deepEqual(first, expected(blocks, [ONE]))
        assert.deepEqual(await store.changes(100), [])
        if (reopen) assert.deepEqual(await drain(await reopen()), first)
      })
    ],
    [
      'a slot whose blocks want different N has a summary for each',
      run(async ({ store }) => {
        const [a, b, c] = sameSlot(3)
        await store.put([
          { ...a, claims: [ONE] },
          { ...b, claims: [TWO] },
          { ...c, claims: [ONE, TWO] }
        ] as never)
        const summaries = await drain(store)
        assert.deepEqual(
          summaries.map(({ replicas, blocks }) => [replicas, blocks]),
          [
            [3, 1],
            [5, 2]
          ]
        )
      })
    ],
    [
      'a put, a claim and a delete each change the summary, and back',
      run(async ({ store }) => {
        const [a, b] = sameSlot(2) as [Sample, Sample]
        await store.put([{ ...a, claims: [ONE] }])
        const [before] = await drain(store)
        await store.put([{ ...b, claims: [ONE] }])
        assert.notEqual((await drain(store))[0]?.fingerprint, before?.fingerprint)
        await store.delete([b.key])
        assert.deepEqual(await drain(store), [before])
        await store.put([{ key: a.key, claims: [{ ...ONE, sequence: 2 }] }])
        assert.notEqual((await drain(store))[0]?.fingerprint, before?.fingerprint)
      })
    ],
    [
      'what became empty is returned once, with no blocks',
      run(async ({ store }) => {
        const { key, bytes } = sampleBlock(1)
        const empty = { slot: slotOf(key), replicas: 3, blocks: 0, bytes: 0, fingerprint: '' }
        await store.put([{ key, bytes, claims: [ONE] }])
        await drain(store)
        await store.put([{ key, claims: [TWO] }])
        const [three, five] = await drain(store)
        assert.deepEqual(three, empty)
        assert.equal(five?.replicas, 5)
        await store.delete([key])
        assert.deepEqual(await drain(store), [{ ...empty, replicas: 5 }])
        assert.deepEqual(await drain(store), [])
      })
    ],
    [
      'what came and went between two calls is not returned',
      run(async ({ store }) => {
        const { key, bytes } = sampleBlock(1)
        await store.put([{ key, bytes, claims: [ONE] }])
        await store.delete([key])
        assert.deepEqual(await drain(store), [])
      })
    ],
    [
      'the fingerprint does not depend on the order of arrival, nor on proofs',
      run(async ({ store }) => {
        const blocks = sameSlot(3)
        const claims = [{ ...TWO, proof: new Uint8Array(9) }, ONE]
        for (const block of blocks.toReversed()) await store.put([{ ...block, claims }])
        assert.deepEqual(await drain(store), expected(blocks, [ONE, TWO]))
      })
    ]
  ]
}

function limitFacts(run: Run): Fact[] {
  return [
    [
      'a full store refuses with FULL, reads, deletes, and takes again once there is room',
      run(
        async ({ store }) => {
          const size = 1024 * 1024
          const held: Sample[] = []
          let refused: Sample | undefined
          for (let seed = 1; seed <= ROOMY_BYTES / size && refused === undefined; seed++) {
            const block = sampleBlock(seed, size)
            try {
              await store.put([{ ...block, claims: [ONE] }])
              held.push(block)
            } catch (error) {
              assert.ok(CairnError.is(error, 'FULL'), String(error))
              refused = block
            }
            assert.ok(store.usage().diskBytes <= store.usage().capacity, 'never above capacity')
          }
          assert.ok(refused !== undefined && held.length > 0)
          assert.equal(store.usage().full, true)
          for (const { key, bytes } of held) assert.deepEqual(await store.get(key), bytes)
          assert.equal(await store.get(refused.key), undefined)
          await store.delete(held.map(({ key }) => key))
          await until('there is room again', () => !store.usage().full)
          await store.put([{ ...refused, claims: [ONE] }])
          assert.deepEqual(await store.get(refused.key), refused.bytes)
        },
        ROOMY_BYTES - 24 * 1024 * 1024
      )
    ],
    [
      'a closed store takes no calls',
      run(async ({ store }) => {
        await store.close()
        await assert.rejects(store.get(sampleBlock(1).key), RangeError)
        await assert.rejects(store.put([{ ...sampleBlock(1), claims: [ONE] }]), RangeError)
        await store.close()
      })
    ]
  ]
}

type Sample = ReturnType<typeof sampleBlock>

/** `count` blocks of one slot: one in 2^16 is. Kept, since the search takes a while. */
function sameSlot(count: number): Sample[] {
  const [high, low] = fromHex(sampleBlock(1).key.slice(4, 8))
  for (; found.length < count; nextSeed++) {
    const probe = Buffer.alloc(8)
    probe.writeUInt32BE(nextSeed)
    const digest = hash('sha256', probe, 'buffer')
    if (digest[0] === high && digest[1] === low) found.push(sampleBlock(nextSeed, 8))
  }
  return found.slice(0, count)
}
const found: Sample[] = []
let nextSeed = 2

/** All changes, in calls of two. */
async function drain(store: Store): Promise<SlotSummary[]> {
  const all: SlotSummary[] = []
  for (;;) {
    const some = await store.changes(2)
    assert.ok(some.length <= 2)
    if (some.length === 0) return all
    all.push(...some)
  }
}

/** The summaries of blocks that all have the same claims, by the definition in `store.ts`. */
function expected(blocks: readonly Sample[], claims: readonly HeldClaim[]): SlotSummary[] {
  const replicas = Math.max(...claims.map((claim) => claim.replicas))
  const slots = [...new Set(blocks.map(({ key }) => slotOf(key)))].sort((a, b) => a - b)
  return slots.map((slot) => {
    const inSlot = blocks.filter(({ key }) => slotOf(key) === slot).sort((a, b) => (a.key < b.key ? -1 : 1))
    const parts = inSlot.flatMap(({ key }) => [fromHex(key), claimsDigest(claims)])
    const digest = createHash('sha256').update(concat(parts)).digest()
    const bytes = inSlot.reduce((sum, block) => sum + block.bytes.length, 0)
    return { slot, replicas, blocks: inSlot.length, bytes, fingerprint: toHex(digest.subarray(0, 16)) }
  })
}

async function* nowAndReopened(store: Store, reopen?: () => Promise<Store>): AsyncGenerator<Store> {
  yield store
  if (reopen) yield await reopen()
}

async function failure(work: Promise<unknown>, code: string): Promise<CairnError> {
  try {
    await work
  } catch (error) {
    assert.ok(CairnError.is(error), String(error))
    assert.equal(error.code, code)
    return error
  }
  assert.fail(`no ${code}`)
}

/** Waits for what a store does in its own time (compaction), at most ten seconds. */
async function until(what: string, condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    if (condition()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  assert.fail(`not within ten seconds: ${what}`)
}
