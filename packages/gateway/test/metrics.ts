import { cidOf } from '@cairn/blocks'
import type { MirrorView, NodeStatus } from '@cairn/node'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createMetrics, METRICS_TYPE } from '../src/metrics.ts'
import { serveNode } from '../src/serve.ts'
import { type Lone, loneNode } from './support/lone.ts'

const metrics = suite('createMetrics')

interface Family {
  type: string
  help: string
  /** By their labels, as `key=value` in the order of the text. */
  samples: Map<string, number>
}

/** One character after another, by the format's own grammar: it shares nothing with what wrote the text. */
function read(text: string): Map<string, Family> {
  assert.ok(text.endsWith('\n'))
  const families = new Map<string, Family>()
  let family: Family | undefined
  for (const line of text.slice(0, -1).split('\n')) {
    const head = line.match(/^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/)
    if (head?.[1] === 'HELP') {
      assert.not.ok(families.has(head[2] as string), `${head[2]} twice`)
      family = { type: '', help: head[3] as string, samples: new Map() }
      families.set(head[2] as string, family)
    } else if (head?.[1] === 'TYPE') (families.get(head[2] as string) as Family).type = head[3] as string
    else readSample(line, families)
  }
  return families
}

function readSample(line: string, families: Map<string, Family>): void {
  let at = 0
  const until = (stop: RegExp): string => {
    const from = at
    while (at < line.length && !stop.test(line[at] as string)) at++
    return line.slice(from, at)
  }
  const name = until(/[{ ]/)
  const labels: string[] = []
  if (line[at] === '{') {
    at++
    while (line[at] !== '}') {
      const key = until(/=/)
      assert.match(key, /^[a-z_]+$/, line)
      at += 2 // = and "
      let value = ''
      for (; line[at] !== '"'; at++) {
        assert.ok(at < line.length, line)
        if (line[at] !== '\\') value += line[at]
        else value += line[++at] === 'n' ? '\n' : line[at]
      }
      at++
      if (line[at] === ',') at++
      labels.push(`${key}=${value}`)
    }
    at++
  }
  assert.is(line[at], ' ', line)
  const number = line.slice(at + 1)
  assert.match(number, /^-?\d+(\.\d+)?(e[-+]?\d+)?$/, line)
  const samples = (families.get(name) as Family).samples
  assert.not.ok(samples.has(labels.join()), `${line} twice`)
  samples.set(labels.join(), Number(number))
}

const HURT: Partial<NodeStatus> = {
  verdict: 'at-risk',
  wanted: 3,
  byCopies: [0, 2, 5, 40],
  bytesByCopies: [0, 200, 500, 4_000],
  repairing: { blocks: 7, bytes: 700 },
  etaSeconds: 12,
  damage: { found: 4, healed: 3, latest: [] }
}

const MIRROR: MirrorView = {
  owner: '12D3KooWowner' as MirrorView['owner'],
  name: 'a "b" \\ c',
  phase: 'following',
  lag: { wantedMs: 5_000, ms: 2_500, updates: 2, heardMs: 0 }
}

function hurt(): Lone {
  const node = loneNode()
  const { status } = node
  node.status = async () => ({ ...(await status()), ...HURT })
  node.mirrors.list = async () => [MIRROR, { ...MIRROR, name: 'new', lag: { wantedMs: 1, ms: 0 } }]
  return node
}

metrics('each family has a help, a type that fits its name, and numbers', async () => {
  const made = createMetrics(hurt())
  try {
    await made.text()
    for (const [name, { type, help, samples }] of read(await made.text())) {
      assert.match(name, /^(cairn|process)_[a-z_]+$/)
      assert.match(help, /\.$/, name)
      assert.is(type, name.endsWith('_total') ? 'counter' : 'gauge', name)
      assert.ok(samples.size > 0, name)
    }
  } finally {
    made.close()
  }
})

metrics('they say what status says', async () => {
  const node = hurt()
  const root = cidOf(Uint8Array.of(1, 2, 3))
  await node.upload('00').put([{ cid: root, bytes: Uint8Array.of(1, 2, 3) }])
  const status = await node.status()
  const made = createMetrics(node)
  try {
    const said = read(await made.text())
    const all = (name: string) => Object.fromEntries(said.get(name)?.samples ?? [])
    const value = (name: string) => all(name)['']
    assert.is(value('cairn_store_blocks'), 1)
    assert.is(value('cairn_store_block_bytes'), status.usage.bytes)
    assert.is(value('cairn_store_capacity_bytes'), status.usage.capacity)
    const verdicts = { healthy: 0, 'under-replicated': 0, 'at-risk': 1, lost: 0 }
    for (const [verdict, is] of Object.entries(verdicts))
      assert.is(all('cairn_verdict')[`verdict=${verdict}`], is)
    assert.equal(all('cairn_network_blocks'), { 'copies=0': 0, 'copies=1': 2, 'copies=2': 5, 'copies=3': 40 })
    assert.is(value('cairn_network_risk_bytes'), 200)
    assert.is(value('cairn_network_short_bytes'), 700)
    assert.is(value('cairn_network_safe_in_seconds'), 12)
    assert.is(value('cairn_damaged_blocks_total'), 4)
    assert.is(all('cairn_members')['state=alive'], status.alive)
    assert.is(all('cairn_members')['state=dead'], 0)
    const of = (name: string) => `owner=${MIRROR.owner},name=${name}`
    assert.equal(all('cairn_mirror_lag_seconds'), { [of(MIRROR.name)]: 2.5, [of('new')]: 0 })
    assert.equal(all('cairn_mirror_updates_behind'), { [of(MIRROR.name)]: 2 }, 'unknown is absent')
    assert.equal(all('cairn_mirror_heard_seconds'), { [of(MIRROR.name)]: 0 })
  } finally {
    made.close()
  }
})

metrics('they are served as the format wants, also while nothing is known of when all is safe', async () => {
  const node = loneNode()
  const { status } = node
  node.status = async () => ({ ...(await status()), etaSeconds: undefined })
  const serving = await serveNode(node, { onStop: () => {} })
  try {
    const answer = await fetch(`${serving.url}/metrics`)
    assert.is(answer.headers.get('content-type'), METRICS_TYPE)
    const said = read(await answer.text())
    assert.not.ok(said.has('cairn_network_safe_in_seconds'))
    assert.ok(said.has('cairn_store_blocks'))
    assert.is((await fetch(`${serving.url}/metrics`, { method: 'POST' })).status, 404)
  } finally {
    await serving.close()
  }
})

metrics.run()
