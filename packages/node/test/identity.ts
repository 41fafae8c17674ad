import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { PeerId } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { cryptoOf, isPeerId, openIdentity } from '../src/identity.ts'
import { temporary } from './support/home.ts'
import { scoped } from './support/scope.ts'

const identity = suite('identity')

identity(
  'what one node signs, another verifies, and nothing else',
  scoped(async (use) => {
    const tmp = use(await temporary())
    const one = await openIdentity(join(tmp.path, 'one'))
    const two = await openIdentity(join(tmp.path, 'two'))
    const bytes = randomBytes(100)
    const signature = cryptoOf(one).sign(bytes)
    const { verify } = cryptoOf(two)
    assert.is(signature.length, 64)
    assert.ok(verify(one.id, bytes, signature))
    assert.ok(await one.privateKey.publicKey.verify(bytes, signature), 'libp2p agrees')
    assert.not.ok(verify(two.id, bytes, signature))
    assert.not.ok(verify(one.id, randomBytes(100), signature))
    assert.not.ok(verify(one.id, bytes, randomBytes(64)))
    assert.not.ok(verify(one.id, bytes, new Uint8Array()))
    assert.not.ok(verify('nobody' as PeerId, bytes, signature))
  })
)

identity('only ids of Ed25519 keys are members', () => {
  assert.ok(isPeerId('12D3KooWJzDj6Ly5pmdqNWD3XhGmXZ8nDqZoVfu8KhVFfNSDfjTQ'))
  for (const text of ['', '12D3KooW', 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'])
    assert.not.ok(isPeerId(text), text)
})

identity.run()
