import { createHash, generateKeyPairSync, sign, verify } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  blockKey,
  CairnError,
  type Crypto,
  cutReceipt,
  encode,
  encodeBlockReceipt,
  encodeReceipt,
  list,
  openReceipt,
  type PeerId,
  readBlockReceipt,
  readReceipt,
  receiptItemCodec,
  signReceipt
} from '../src/index.ts'

const sha256 = (bytes: Uint8Array) => Uint8Array.from(createHash('sha256').update(bytes).digest())
const HOLDER = '12D3KooWholder' as PeerId
const FACTS = { network: '00112233445566778899aabbccddeeff', holder: HOLDER, timeMs: 1_795_000_000_000 }

function holder(): Crypto {
  const pair = generateKeyPairSync('ed25519')
  return {
    sha256,
    sign: (bytes) => Uint8Array.from(sign(null, bytes, pair.privateKey)),
    verify: (peer, bytes, signature) => peer === HOLDER && verify(null, bytes, pair.publicKey, signature)
  }
}

function items(count: number) {
  return Array.from({ length: count }, (_, i) => {
    const hash = sha256(Uint8Array.of(i))
    return { key: blockKey(Uint8Array.of(0x12, 32, ...hash)), claim: hash }
  })
}

const receipts = suite('receipts')

receipts('one signature stands for a batch of any size, and for each of its blocks alone', () => {
  const crypto = holder()
  for (const count of [1, 2, 3, 7, 8, 9, 64, 100]) {
    const all = items(count)
    const whole = readReceipt(
      encodeReceipt(signReceipt(FACTS, all, crypto)),
      { network: FACTS.network, holder: HOLDER, items: all },
      crypto
    )
    all.forEach((item, index) => {
      const alone = readBlockReceipt(encodeBlockReceipt(cutReceipt(whole, all, index, sha256)), crypto)
      assert.is(alone.item.key, item.key)
      assert.is(alone.statement.timeMs, FACTS.timeMs)
    })
  }
})

receipts('a receipt that was kept with its list of blocks is checked with nothing but its bytes', () => {
  const crypto = holder()
  const all = items(5)
  const encoded = (of: typeof all) => encode(list(receiptItemCodec, 100), of)
  const kept = { receipt: encodeReceipt(signReceipt(FACTS, all, crypto)), items: encoded(all) }
  const open = openReceipt(kept, crypto)
  assert.equal(open.items, all)
  assert.equal(
    [open.receipt.statement.holder, open.receipt.statement.network, open.receipt.statement.timeMs],
    [HOLDER, FACTS.network, FACTS.timeMs]
  )
  const torn = kept.receipt.slice()
  torn[torn.length - 1] = (torn.at(-1) as number) ^ 1
  for (const bad of [
    { ...kept, items: encoded(all.slice(1)) },
    { ...kept, items: encoded([...all.slice(1), all[0] as (typeof all)[0]]) },
    { ...kept, items: encoded([]) },
    { ...kept, items: kept.items.subarray(1) },
    { ...kept, receipt: torn },
    { ...kept, receipt: kept.receipt.subarray(1) }
  ]) {
    assert.throws(
      () => openReceipt(bad, crypto),
      (error: unknown) => CairnError.is(error, 'BAD_MESSAGE')
    )
  }
})

receipts(
  'a receipt proves nothing for other blocks, another order, another holder or another network',
  () => {
    const crypto = holder()
    const all = items(5)
    const bytes = encodeReceipt(signReceipt(FACTS, all, crypto))
    const good = { network: FACTS.network, holder: HOLDER, items: all }
    assert.ok(readReceipt(bytes, good, crypto))
    const refused = (expect: typeof good) =>
      assert.throws(
        () => readReceipt(bytes, expect, crypto),
        (error: unknown) => CairnError.is(error, 'BAD_MESSAGE')
      )
    refused({ ...good, items: all.slice(1) })
    refused({ ...good, items: [...all].reverse() })
    refused({ ...good, holder: '12D3KooWother' as PeerId })
    refused({ ...good, network: 'ff'.repeat(16) })
  }
)

receipts('a block receipt with any byte changed is refused', () => {
  const crypto = holder()
  const all = items(6)
  const bytes = encodeBlockReceipt(cutReceipt(signReceipt(FACTS, all, crypto), all, 4, sha256))
  for (let i = 0; i < bytes.length; i++) {
    const bad = bytes.slice()
    bad[i] = (bad[i] as number) ^ 1
    assert.throws(
      () => readBlockReceipt(bad, crypto),
      (error: unknown) => CairnError.is(error, 'BAD_MESSAGE'),
      `byte ${i}`
    )
  }
})

receipts.run()
