import type { PeerId } from '@cairn/core'
import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { formatInvite, newNetwork, parseInvite } from '../src/network.ts'
import { codeOf } from './support/peers.ts'

const PEER = '12D3KooWJzDj6Ly5pmdqNWD3XhGmXZ8nDqZoVfu8KhVFfNSDfjTQ' as PeerId
const ADDRESSES = [`/ip4/192.0.2.1/tcp/4400/p2p/${PEER}`, `/dns4/nas.example/tcp/4400/p2p/${PEER}`]

function parse(text: string): Promise<string> {
  return codeOf(Promise.resolve().then(() => parseInvite(text)))
}

const network = suite('invite')

network('a private network has a secret, an open one none', () => {
  assert.is(Buffer.from(newNetwork({ open: false }).secret ?? '', 'base64url').length, 32)
  assert.is(newNetwork({ open: true }).secret, undefined)
  assert.is(newNetwork({ open: true, replicas: 5 }).replicas, 5)
})

network('an invite comes back as it was made, with several addresses and spaces around', () => {
  for (const open of [false, true]) {
    const made = newNetwork({ open })
    const expected = { addresses: ADDRESSES, network: made.id, ...(open ? {} : { secret: made.secret }) }
    assert.equal(parseInvite(`  ${formatInvite(ADDRESSES, made)}\n`), expected)
  }
})

network('the plain address of a member is an invite to an open network', () => {
  assert.equal(parseInvite(ADDRESSES[0] as string), { addresses: [ADDRESSES[0]] })
})

network('every invite that lost or changed a character of its end is refused', async () => {
  const whole = formatInvite(ADDRESSES, newNetwork({ open: false }))
  const from = whole.lastIndexOf('/cairn/') + '/cairn/'.length
  for (let i = from; i < whole.length; i++) {
    const other = whole[i] === 'A' ? 'B' : 'A'
    assert.is(await parse(whole.slice(0, i) + other + whole.slice(i + 1)), 'BAD_INVITE', `changed ${i}`)
    assert.is(await parse(whole.slice(0, i)), 'BAD_INVITE', `cut at ${i}`)
  }
})

network('what is no invite is refused with BAD_INVITE and nothing else', async () => {
  const none = [
    '',
    'hello',
    '/ip4/127.0.0.1/tcp/1',
    `/ip4/127.0.0.1/p2p/${PEER}`,
    '/ip4/1.2.3.4/tcp/1/p2p/QmNo',
    `${ADDRESSES[0]}/cairn/`
  ]
  for (const text of none) assert.is(await parse(text), 'BAD_INVITE', text)
  assert.is(await parse(Array(9).fill(ADDRESSES[0]).join(',')), 'BAD_INVITE')
  await fc.assert(
    fc.asyncProperty(fc.string({ maxLength: 200 }), async (text) => {
      assert.is(await parse(text), 'BAD_INVITE')
      assert.is(await parse(`${ADDRESSES[0]}/cairn/${text}`), 'BAD_INVITE')
    })
  )
})

network.run()
