import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseSettings, readSettings } from '../src/settings.ts'

const settings = suite('settings')

function refusal(toml: string): CairnError {
  try {
    parseSettings(toml, 'cairn.toml')
  } catch (error) {
    assert.ok(CairnError.is(error, 'BAD_CONFIG'), String(error))
    return error
  }
  throw new Error(`accepted: ${toml}`)
}

settings('every key is read into its field, with its unit', () => {
  const toml = `
    node = ["http://127.0.0.1:7401", "http://127.0.0.1:7402"]
    timeout = "30s"
    replicas = 2
    listen = "0.0.0.0:4001"
    port = 7401
    host = "192.168.1.7"
    free-reads = true
    bulk-port = 4002
    capacity = "200GB"
    zone = "cellar"
    name = "nas"
    mdns = true
    repair-delay = "3s"`
  assert.equal(parseSettings(toml, 'cairn.toml'), {
    node: ['http://127.0.0.1:7401', 'http://127.0.0.1:7402'],
    timeout: 30_000,
    replicas: 2,
    listen: ['/ip4/0.0.0.0/tcp/4001'],
    port: 7401,
    host: '192.168.1.7',
    freeReads: true,
    bulkPort: 4002,
    capacity: 200e9,
    zone: 'cellar',
    name: 'nas',
    mdns: true,
    repairDelay: 3_000
  })
})

settings('an unknown key is refused with the one that was meant', () => {
  const error = refusal('replcas = 3')
  assert.match(error.message, /unknown key "replcas" in cairn.toml/)
  assert.match(String(error.hint), /did you mean "replicas"/)
  assert.match(String(refusal('colour = 1').hint), /known keys: node, timeout/)
})

settings('no name of an inherited property is a key', () => {
  for (const key of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) refusal(`${key} = 1`)
})

settings('a value of the wrong kind is refused with its key', () => {
  for (const toml of [
    'replicas = "3"',
    'replicas = 0',
    'replicas = 1.5',
    'mdns = "yes"',
    'capacity = 200',
    'capacity = "much"',
    'listen = [1]',
    'zone = 3',
    'timeout = "30"'
  ]) {
    const [key = ''] = toml.split(' ')
    const error = refusal(toml)
    assert.match(error.message, new RegExp(`^${key} in cairn.toml`), toml)
    assert.ok(error.hint, toml)
  }
})

settings('what is not TOML is refused with its line', () => {
  assert.match(refusal('replicas = 2\nname nas').message, /not valid TOML at line 2/)
})

settings('a home without the file has no settings, one with it has them', async () => {
  const home = await mkdtemp(join(tmpdir(), 'cairn-settings-'))
  try {
    assert.equal(await readSettings(home), {})
    await writeFile(join(home, 'cairn.toml'), 'zone = "attic"\n')
    assert.equal(await readSettings(home), { zone: 'attic' })
  } finally {
    await rm(home, { recursive: true })
  }
})

settings.run()
