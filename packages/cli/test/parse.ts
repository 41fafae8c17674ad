import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  nearest,
  parseAck,
  parseCount,
  parseDagPath,
  parseDuration,
  parseHash,
  parseHost,
  parseListen,
  parsePort,
  parseRange,
  parseReplicas,
  parseSize
} from '../src/parse.ts'

const parse = suite('parse')

function refused(run: () => unknown, text: string): void {
  assert.throws(run, (error: unknown) => {
    assert.ok(CairnError.is(error, 'BAD_REQUEST'), `${text}: ${error}`)
    assert.ok((error as CairnError).hint, `${text}: what it would take is not said`)
    return true
  })
}

parse('sizes: decimal and binary units, with or without a blank', () => {
  const table: [string, number][] = [
    ['0', 0],
    ['4096', 4096],
    ['200GB', 200e9],
    ['200gb', 200e9],
    ['1.5 TB', 1.5e12],
    ['64MiB', 64 * 2 ** 20],
    ['1k', 1000]
  ]
  for (const [text, bytes] of table) assert.is(parseSize(text), bytes)
  for (const text of ['', 'GB', '-1GB', '1 XB', '1e9', '1,5GB', '99999PB', 'NaN'])
    refused(() => parseSize(text), text)
})

parse('durations need a unit', () => {
  const table: [string, number][] = [
    ['500ms', 500],
    ['30s', 30_000],
    ['1.5 s', 1_500],
    ['5m', 300_000],
    ['2h', 7_200_000]
  ]
  for (const [text, ms] of table) assert.is(parseDuration(text), ms)
  for (const text of ['30', '', 's', '-1s', '25d', '1 fortnight']) refused(() => parseDuration(text), text)
})

parse('ranges include both ends', () => {
  assert.equal(parseRange('1000-1999'), { start: 1000, end: 1999 })
  assert.equal(parseRange('5-5'), { start: 5, end: 5 })
  assert.equal(parseRange('7-'), { start: 7 })
  for (const text of ['', '-', '-5', '9-3', 'a-b', '1-2-3', '0x1-2', '1-99999999999999999']) {
    refused(() => parseRange(text), text)
  }
})

parse('counts stay within their limits', () => {
  assert.is(parseCount('5', 'n', { least: 1, most: 5 }), 5)
  for (const text of ['0', '6', '', '1.5', '-1', '1e0', ' 1']) {
    refused(() => parseCount(text, 'n', { least: 1, most: 5 }), text)
  }
  assert.is(parsePort('0'), 0)
  refused(() => parsePort('65536'), 'port')
  assert.is(parseReplicas('3'), 3)
  refused(() => parseReplicas('0'), 'replicas')
})

parse('words are of a list', () => {
  assert.is(parseAck('quorum'), 'quorum')
  refused(() => parseAck('most'), 'most')
  assert.is(parseHash('blake3'), 'blake3')
  refused(() => parseHash('md5'), 'md5')
})

parse('an address to listen on may be HOST:PORT', () => {
  assert.is(parseListen('0.0.0.0:4001'), '/ip4/0.0.0.0/tcp/4001')
  assert.is(parseListen('[::1]:4001'), '/ip6/::1/tcp/4001')
  assert.is(parseListen('/dns4/a.example/tcp/1'), '/dns4/a.example/tcp/1')
  for (const text of ['4001', 'host:4001', '0.0.0.0', '0.0.0.0:99999']) refused(() => parseListen(text), text)
})

parse('a CID with a path, in the spellings in use', () => {
  assert.equal(parseDagPath('bafy'), { cid: 'bafy', path: [] })
  assert.equal(parseDagPath('bafy/a/b c'), { cid: 'bafy', path: ['a', 'b c'] })
  assert.equal(parseDagPath('/ipfs/bafy/a'), { cid: 'bafy', path: ['a'] })
  assert.equal(parseDagPath('ipfs://bafy/'), { cid: 'bafy', path: [] })
  refused(() => parseDagPath(''), '')
  refused(() => parseDagPath('/a'), '/a')
})

parse('the nearest known word is suggested, a far one is not', () => {
  const known = ['replicas', 'repair-delay', 'zone', 'node', 'name']
  assert.is(nearest('replcas', known), 'replicas')
  assert.is(nearest('Zone', known), 'zone')
  assert.is(nearest('nam', known), 'name')
  assert.is(nearest('colour', known), undefined)
})

parse('the address of an interface is one that others can be told', () => {
  for (const good of ['127.0.0.2', '192.168.1.7', '::1', 'fd00::7']) assert.is(parseHost(good), good)
  for (const bad of ['', '0.0.0.0', '::', 'nas', '192.168.1.7:80', '[::1]'])
    refused(() => parseHost(bad), bad)
})

parse.run()
