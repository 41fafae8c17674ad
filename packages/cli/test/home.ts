import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  clusterHomes,
  findTargets,
  isAlive,
  nodeUrl,
  readRunning,
  removeRunning,
  writeRunning
} from '../src/home.ts'
import { inTempFolder } from './support/run.ts'

const home = suite('home')

/** Above the largest process id that Linux gives. */
const NOBODY = 2 ** 22 + 1

home('a node is named by URL or by HOST:PORT', () => {
  assert.is(nodeUrl('127.0.0.1:7401'), 'http://127.0.0.1:7401')
  assert.is(nodeUrl('http://127.0.0.1:7401/'), 'http://127.0.0.1:7401')
  assert.is(nodeUrl('https://node.example/x'), 'https://node.example')
  for (const text of ['http://[', '', 'a b']) {
    assert.throws(
      () => nodeUrl(text),
      (error: unknown) => CairnError.is(error, 'BAD_REQUEST')
    )
  }
})

home('a running node is one whose process lives; a torn file is none', async () => {
  await inTempFolder(async (folder) => {
    assert.is(await readRunning(folder), undefined)
    const running = { pid: process.pid, url: 'http://127.0.0.1:1', addresses: [] }
    await writeRunning(folder, { ...running, pid: NOBODY })
    assert.is(await readRunning(folder), undefined)
    for (const text of ['', '{', '{}', 'null', '{"pid":"1"}', '{"pid":1.5,"url":"x","addresses":[]}']) {
      await writeFile(join(folder, 'running.json'), text)
      assert.is(await readRunning(folder), undefined, text)
    }
    await removeRunning(folder)
    await removeRunning(folder)
  })
})

home('processes: this one lives, nobody does not', () => {
  assert.ok(isAlive(process.pid))
  assert.not.ok(isAlive(NOBODY))
})

home('the homes of a cluster are in order of their numbers, and nothing else is one', async () => {
  await inTempFolder(async (folder) => {
    assert.equal(await clusterHomes(folder), [])
    for (const name of ['n10', 'n2', 'n1', 'n0', 'nx', 'n1.log', 'logs']) {
      await mkdir(join(folder, 'cluster', name), { recursive: true })
    }
    assert.equal(
      (await clusterHomes(folder)).map(({ k }) => k),
      [1, 2, 10]
    )
  })
})

home('nodes that are named are taken as named; with none, the next step is told', async () => {
  await inTempFolder(async (folder) => {
    assert.equal(
      (await findTargets(folder, ['127.0.0.1:1', 'http://127.0.0.1:2'])).map(({ url }) => url),
      ['http://127.0.0.1:1', 'http://127.0.0.1:2']
    )
    const error = await findTargets(folder, []).catch((error) => error)
    assert.ok(CairnError.is(error, 'UNREACHABLE'))
    assert.match(String(error.hint), /cairn start/)
  })
})

home.run()
