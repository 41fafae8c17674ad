import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openHome, readHome, removeRunning, writeRunning } from '../src/home.ts'
import { newNetwork } from '../src/network.ts'
import { temporary } from './support/home.ts'
import { codeOf } from './support/peers.ts'
import { scoped } from './support/scope.ts'

const SETTINGS = { listen: ['/ip4/127.0.0.1/tcp/0'], capacity: 1_000_000, name: 'amber-fox', incarnation: 3 }

async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o777
}

const home = suite('home')

home(
  'the first start makes directory, key and token, for the owner alone',
  scoped(async (use) => {
    const tmp = use(await temporary())
    const path = join(tmp.path, 'a', 'home')
    const opened = await openHome(path)
    assert.is(await modeOf(path), 0o700)
    for (const file of ['identity.key', 'token']) assert.is(await modeOf(join(path, file)), 0o600, file)
    assert.is(Buffer.from(opened.token, 'base64url').length, 32)
    assert.match(opened.identity.id, /^12D3KooW/)
    assert.is(await opened.network(), undefined)
    await opened.release()
  })
)

home(
  'everything kept comes back after a restart, secrets 0600',
  scoped(async (use) => {
    const tmp = use(await temporary())
    const network = newNetwork({ open: false, replicas: 2 })
    const first = await openHome(tmp.path)
    await first.saveNetwork(network)
    await first.saveSettings(SETTINGS)
    await first.saveMembers([{ id: first.identity.id, addresses: ['/ip4/127.0.0.1/tcp/1'] }])
    await first.release()
    assert.is(await modeOf(join(tmp.path, 'network.json')), 0o600)

    const second = await openHome(tmp.path)
    assert.is(second.identity.id, first.identity.id)
    assert.is(second.token, first.token)
    assert.equal(await second.network(), network)
    const { version: _, ...settings } = (await second.settings()) as typeof SETTINGS & { version: number }
    assert.equal(settings, SETTINGS)
    assert.equal(await second.members(), [{ id: first.identity.id, addresses: ['/ip4/127.0.0.1/tcp/1'] }])
    await second.release()
  })
)

home(
  'wrong modes are put right',
  scoped(async (use) => {
    const tmp = use(await temporary())
    const first = await openHome(tmp.path)
    await first.saveNetwork(newNetwork({ open: false }))
    await first.release()
    await chmod(tmp.path, 0o755)
    for (const file of ['identity.key', 'token', 'network.json']) await chmod(join(tmp.path, file), 0o644)
    const second = await openHome(tmp.path)
    await second.network()
    assert.is(await modeOf(tmp.path), 0o700)
    for (const file of ['identity.key', 'token', 'network.json']) {
      assert.is(await modeOf(join(tmp.path, file)), 0o600, file)
    }
    await second.release()
  })
)

home(
  'a home of a newer version is refused, and free afterwards',
  scoped(async (use) => {
    const tmp = use(await temporary())
    const first = await openHome(tmp.path)
    await first.saveSettings(SETTINGS)
    await first.release()
    const path = join(tmp.path, 'node.json')
    const kept = await readFile(path, 'utf8')
    await writeFile(path, kept.replace('"version": 1', '"version": 2'))
    assert.is(await codeOf(openHome(tmp.path)), 'NEWER_VERSION')
    await writeFile(path, '{"version": 1, "listen"')
    assert.is(await codeOf(openHome(tmp.path)), 'BAD_CONFIG')
    await writeFile(path, kept)
    await (await openHome(tmp.path)).release()
  })
)

home(
  'a damaged key is refused, never replaced',
  scoped(async (use) => {
    const tmp = use(await temporary())
    await writeFile(join(tmp.path, 'identity.key'), 'nonsense', { mode: 0o600 })
    assert.is(await codeOf(openHome(tmp.path)), 'BAD_CONFIG')
    assert.is(await readFile(join(tmp.path, 'identity.key'), 'utf8'), 'nonsense')
  })
)

home(
  'a home that two want at once is given to one',
  scoped(async (use) => {
    const tmp = use(await temporary())
    const first = await openHome(tmp.path)
    assert.is(await codeOf(openHome(tmp.path)), 'LOCKED')
    await first.release()
  })
)

home(
  'readHome tells what a command needs, running or not',
  scoped(async (use) => {
    const tmp = use(await temporary())
    assert.is(await readHome(join(tmp.path, 'nothing')), undefined)
    const network = newNetwork({ open: false })
    const opened = await openHome(tmp.path)
    await opened.saveNetwork(network)
    await opened.saveSettings(SETTINGS)
    const facts = {
      id: opened.identity.id,
      name: 'amber-fox',
      network: { id: network.id, open: false, replicas: 3 },
      token: opened.token
    }
    assert.equal(await readHome(tmp.path), { ...facts, pid: process.pid })
    const running = { pid: process.pid, url: 'http://127.0.0.1:1', addresses: ['/ip4/127.0.0.1/tcp/1'] }
    await writeRunning(tmp.path, running)
    assert.equal(await readHome(tmp.path), { ...facts, ...running })
    await writeRunning(tmp.path, { ...running, pid: 1 })
    assert.equal(await readHome(tmp.path), { ...facts, pid: process.pid }, 'left by another process')
    await opened.release()
    assert.equal(await readHome(tmp.path), facts, 'stopped without removing the file')
    await removeRunning(tmp.path)
    assert.equal(await readHome(tmp.path), facts)
  })
)

home.run()
