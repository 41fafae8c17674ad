import { type PeerId, readVote } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { signVote } from '../src/ref-receipt.ts'
import { cryptoOf, NETWORK } from './support/refs.ts'

const receipts = suite('receipts of refs')
const vote = { network: NETWORK, voter: 'a' as PeerId, hash: '9'.repeat(64), timeMs: 1_700_000_000_000 }

receipts('a receipt reads back with nothing but its bytes', () => {
  const receipt = signVote(vote, cryptoOf('a'))
  assert.equal(readVote(receipt.bytes, NETWORK, cryptoOf('anybody')), receipt)
})

receipts('another signer, another network and a changed byte prove nothing', () => {
  const forged = signVote(vote, cryptoOf('b'))
  assert.throws(() => readVote(forged.bytes, NETWORK, cryptoOf('anybody')), /proves nothing/)
  const receipt = signVote(vote, cryptoOf('a'))
  assert.throws(() => readVote(receipt.bytes, '8'.repeat(32), cryptoOf('anybody')), /proves nothing/)
  for (let at = 0; at < receipt.bytes.length; at += 7) {
    const bytes = receipt.bytes.slice()
    bytes[at] = (bytes[at] as number) ^ 1
    assert.throws(() => readVote(bytes, NETWORK, cryptoOf('anybody')))
  }
})

receipts.run()
