import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { SHA256_BYTES, SIGNATURE_BYTES } from '../src/crypto.ts'

const crypto = suite('crypto')

crypto('the lengths are those of SHA-256 and Ed25519', () => {
  assert.is(createHash('sha256').digest().length, SHA256_BYTES)
  assert.is(sign(null, Uint8Array.of(1), generateKeyPairSync('ed25519').privateKey).length, SIGNATURE_BYTES)
})

crypto.run()
