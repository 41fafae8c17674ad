import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cidOf } from '@cairn/blocks'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openOldPins } from '../src/old-pins.ts'
import { temporary } from './support/home.ts'
import { codeOf } from './support/peers.ts'
import { scoped } from './support/scope.ts'

const pins = suite('pins as they were')
const cid = (n: number) => cidOf(Uint8Array.of(n))
const pin = (n: number, upload: string, replicas = 3) => {
  return { root: cid(n), upload, name: undefined, replicas, blocks: 1, bytes: 1, createdMs: 1, lifetimeMs: 0 }
}

pins(
  'a pin lives as long as one of its uploads, at the most N that any asked for',
  scoped(async (use) => {
    const { path } = use(await temporary())
    const kept = openOldPins(path, () => assert.unreachable())
    assert.equal(await kept.list(), [], 'before the first')
    await Promise.all([1, 2, 3, 4, 5].map((n) => kept.add(pin(1, `u${n}`, n))))
    await kept.add(pin(1, 'u5', 1))
    const found = await kept.find(cid(1))
    assert.equal([...(found?.uploads ?? [])].sort(), ['u1', 'u2', 'u3', 'u4', 'u5'])
    assert.is(found?.pin.replicas, 5)
    await kept.remove(cid(1), ['u1', 'u2', 'u3', 'u4'])
    assert.equal((await openOldPins(path, () => undefined).find(cid(1)))?.uploads, ['u5'])
    await kept.remove(cid(1), ['u5'])
    assert.is(await kept.find(cid(1)), undefined)
    await kept.remove(cid(1), ['u5'])
  })
)

pins(
  'a pin keeps the digest records of all its uploads, and names the latest',
  scoped(async (use) => {
    const { path } = use(await temporary())
    const kept = openOldPins(path, () => assert.unreachable())
    await kept.add({ ...pin(1, 'u1'), digests: cid(7) })
    await kept.add({ ...pin(1, 'u2'), digests: cid(8) })
    await kept.add(pin(1, 'u3')) // a put without digests takes none away
    await kept.add({ ...pin(1, 'u4'), digests: cid(7) })
    const found = await openOldPins(path, () => undefined).find(cid(1))
    assert.equal(found?.digests.map(String), [`${cid(8)}`, `${cid(7)}`])
    assert.is(`${found?.pin.digests}`, `${cid(7)}`)
    assert.is(`${(await kept.list())[0]?.digests}`, `${cid(7)}`)
  })
)

pins(
  'a damaged file is told, hides no other, and is mended by putting again',
  scoped(async (use) => {
    const { path } = use(await temporary())
    const told: string[] = []
    const kept = openOldPins(path, (_level, text) => void told.push(text))
    await kept.add(pin(1, 'u1'))
    await kept.add(pin(2, 'u2'))
    const [name] = (await readdir(join(path, 'pins'))).filter((one) => one.startsWith(`${cid(1)}`)) as [
      string
    ]
    for (const content of ['', '{"version":1}', '{"version":1,"root":"no","uploads":["a"]']) {
      await writeFile(join(path, 'pins', name), content)
      assert.equal(
        (await kept.list()).map(({ root }) => `${root}`),
        [`${cid(2)}`]
      )
      assert.is(await codeOf(kept.find(cid(1))), 'BAD_CONFIG')
    }
    assert.is(told.length, 3)
    assert.match(told[0] as string, 'is damaged')
    await kept.add(pin(1, 'u3'))
    assert.is((await kept.list()).length, 2)
  })
)

pins.run()
