import { CarBlockIterator } from '@ipld/car'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ALIGN_BYTES, isSegmentPage, nonceOfPage, padding, segmentPage, writeFiller } from '../src/format.ts'

const format = suite('format')

const NONCE = Buffer.alloc(16, 7)

format('filler of any length that padding asks for is whole CAR sections of that length', async () => {
  const page = segmentPage(NONCE, 1)
  for (let at = 0; at < ALIGN_BYTES; at++) {
    const length = padding(at)
    assert.is((at + length) % ALIGN_BYTES, 0)
    const filler = Buffer.alloc(length, 0xff)
    assert.is(writeFiller(filler, 0, length), length)
    if (at % 64 > 2 && length > 140) continue // reading all takes a while; the odd lengths are short
    let sections = 0
    for await (const { cid } of await CarBlockIterator.fromBytes(Buffer.concat([page, filler]))) {
      assert.is(cid.multihash.code, 0x12)
      sections++
    }
    assert.ok(sections >= 2)
  }
})

format('a segment begins with a CAR header whose root is its first section', async () => {
  const page = segmentPage(NONCE, 3)
  assert.is(page.length, ALIGN_BYTES)
  const reader = await CarBlockIterator.fromBytes(page)
  const [root] = await reader.getRoots()
  for await (const { cid } of reader) {
    assert.is(String(cid), String(root))
    break
  }
})

format('a page is known by its store and its number', () => {
  const page = segmentPage(NONCE, 3)
  assert.ok(isSegmentPage(page, NONCE, 3))
  assert.not(isSegmentPage(page, NONCE, 4))
  assert.not(isSegmentPage(page, Buffer.alloc(16), 3))
  assert.equal(nonceOfPage(page, 3), NONCE)
  assert.is(nonceOfPage(page, 2), undefined)
  assert.is(nonceOfPage(Buffer.alloc(ALIGN_BYTES), 3), undefined)
})

format('a page of a newer version is refused by name', () => {
  const page = segmentPage(NONCE, 3)
  page[page.indexOf('CAIRNSEG') + 8] = 2
  assert.throws(() => isSegmentPage(page, NONCE, 3), /newer Cairn/)
})

format.run()
