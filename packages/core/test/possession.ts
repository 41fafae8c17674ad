import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CairnError } from '../src/errors.ts'
import {
  ACCUSATION_BYTES_MAX,
  POSSESSION_KEYS_MAX,
  proveRange,
  RANGE_BYTES_MAX,
  rangeOf,
  readAccusation,
  readHold,
  readProof,
  STATEMENT_BYTES_MAX,
  signAccusation,
  signHold,
  signProof
} from '../src/possession.ts'
import { keyIn, peer, sealed, sha256 } from './support/data.ts'

const NETWORK = 'ab'.repeat(16)
const KEY = keyIn(7)
const nonce = new Uint8Array(16).fill(3)
const hold = { network: NETWORK, holder: peer(1), auditor: peer(0), life: 9, upMs: 1_000, keys: [KEY] }
const digest = new Uint8Array(32).fill(5)
const proof = {
  ...{ network: NETWORK, holder: peer(1), auditor: peer(0), nonce },
  items: [
    { key: KEY, offset: 4, length: 8, digest },
    { key: keyIn(8), offset: 0, length: 1, digest: undefined }
  ]
}

function refused(read: () => unknown): void {
  assert.throws(read, (error: unknown) => CairnError.is(error, 'BAD_MESSAGE'))
}

const possession = suite('possession')

possession('what is signed is read again by whom it names', () => {
  const crypto = sealed(peer(1))
  assert.equal(readHold(signHold(hold, crypto), NETWORK, crypto), { version: 1, ...hold })
  assert.equal(readProof(signProof(proof, crypto), NETWORK, crypto), { version: 1, ...proof })
  const evidence = signHold(hold, crypto)
  const said = { network: NETWORK, accuser: peer(1), accused: peer(2), key: KEY, evidence }
  const accusation = { ...said, kind: 'asked-for-it' } as const
  assert.equal(readAccusation(signAccusation(accusation, crypto), NETWORK, crypto), {
    version: 1,
    ...accusation
  })
})

possession('a changed bit, another signer, another network or another kind of statement is refused', () => {
  const crypto = sealed(peer(1))
  const good = signHold(hold, crypto)
  for (const at of [1, 20, good.length - 70, good.length - 1]) {
    const bad = good.slice()
    bad[at] = (bad[at] as number) ^ 1
    refused(() => readHold(bad, NETWORK, crypto))
  }
  refused(() => readHold(signHold(hold, sealed(peer(2))), NETWORK, crypto))
  refused(() => readHold(good, 'cd'.repeat(16), crypto))
  refused(() => readProof(good, NETWORK, crypto))
  refused(() => readHold(good.slice(0, -1), NETWORK, crypto))
})

possession('the largest statements fit their limits', () => {
  const crypto = sealed(peer(1))
  const key = `1340${'ab'.repeat(64)}` as typeof KEY
  const keys = Array.from({ length: POSSESSION_KEYS_MAX }, () => key)
  const long = {
    holder: 'p'.repeat(64) as typeof hold.holder,
    auditor: 'p'.repeat(64) as typeof hold.auditor
  }
  assert.ok(signHold({ ...hold, ...long, upMs: 2 ** 53 - 1, keys }, crypto).length <= STATEMENT_BYTES_MAX)
  const items = keys.map((one) => ({ key: one, offset: 2 ** 21, length: RANGE_BYTES_MAX, digest }))
  const evidence = signProof({ ...proof, ...long, items }, crypto)
  assert.ok(evidence.length <= STATEMENT_BYTES_MAX)
  const said = { network: NETWORK, accuser: long.holder, accused: long.holder, key, evidence }
  const accusation = signAccusation({ ...said, kind: 'wrong-answer' }, crypto)
  assert.ok(accusation.length <= ACCUSATION_BYTES_MAX)
})

possession('a range lies within its block, wherever it begins', () => {
  for (const size of [0, 1, 1_000, RANGE_BYTES_MAX, RANGE_BYTES_MAX + 1, 2 ** 21]) {
    for (const at of [0, 0.5, 0.999_999_999]) {
      const { offset, length } = rangeOf(KEY, size, at)
      assert.ok(offset >= 0 && offset + length <= size, `${size} ${at}`)
      assert.is(length, Math.min(size, RANGE_BYTES_MAX))
    }
  }
  assert.is(rangeOf(KEY, 2 ** 21, 0.999_999_999).offset, 2 ** 21 - RANGE_BYTES_MAX)
})

possession('a proof is of these bytes, this range, this nonce and this holder alone', () => {
  const block = Uint8Array.from({ length: 100 }, (_, i) => i)
  const asked = { nonce, holder: peer(1), key: KEY, offset: 10, length: 20 }
  const right = `${proveRange(asked, block, sha256)}`
  assert.is(`${proveRange(asked, block.slice(), sha256)}`, right)
  const flipped = block.slice()
  flipped[29] = 0
  const others = [
    proveRange(asked, flipped, sha256),
    proveRange({ ...asked, offset: 11 }, block, sha256),
    proveRange({ ...asked, length: 19 }, block, sha256),
    proveRange({ ...asked, holder: peer(2) }, block, sha256),
    proveRange({ ...asked, key: keyIn(8) }, block, sha256),
    proveRange({ ...asked, nonce: new Uint8Array(16) }, block, sha256)
  ]
  for (const other of others) assert.is.not(`${other}`, right)
})

possession('a range that a block does not have is proved by nothing', () => {
  const asked = { nonce, holder: peer(1), key: KEY, offset: 90, length: 11 }
  assert.is(proveRange(asked, new Uint8Array(100), sha256), undefined)
  const vast = { ...asked, offset: 0, length: RANGE_BYTES_MAX + 1 }
  assert.is(proveRange(vast, new Uint8Array(2 ** 21), sha256), undefined)
})

possession.run()
