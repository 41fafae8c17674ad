import { cidOf } from '@cairn/blocks'
import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { toJson } from '../src/json.ts'

const json = suite('toJson')

json('CIDs are text, bytes hex, large numbers text, absence left out', () => {
  const cid = cidOf(Uint8Array.of(1))
  const value = {
    cid,
    list: [cid],
    deep: { bytes: Uint8Array.of(1, 255) },
    large: 2n ** 60n,
    none: undefined
  }
  assert.equal(JSON.parse(toJson(value)), {
    cid: cid.toString(),
    list: [cid.toString()],
    deep: { bytes: '01ff' },
    large: '1152921504606846976'
  })
  assert.is(toJson(cid), JSON.stringify(cid.toString()))
})

json('an error is what it says of itself, without its stack and its cause', () => {
  const error = new CairnError('FULL', 'no room', { hint: 'add a disk', cause: new Error('secret') })
  assert.equal(JSON.parse(toJson({ error })), {
    error: { code: 'FULL', message: 'no room', hint: 'add a disk', retryable: true, exit: 9 }
  })
})

json.run()
