/**
 * Names over real nodes: what the command says and does, and an owner whose key no node has, who updates and
 * reads while the nodes that carry the name are killed one after another.
 */
// limit: 360 s
// beside others
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { newSeed, refKey } from '@cairn/client'
import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { eventually } from './support/eventually.ts'
import { cairn, clientOf, kill, lastJson, met, type Node, withNodes } from './support/nodes.ts'

const refs = suite('names')

async function tree(path: string, text: string): Promise<string> {
  await mkdir(path, { recursive: true })
  await writeFile(join(path, 'same.txt'), 'the same')
  await writeFile(join(path, 'a.txt'), text)
  return path
}

refs(
  'the command sets, reads, tells the past, compares and goes back; a key of its own never leaves its home',
  withNodes(async ({ folder, network }) => {
    const nodes = await network(3)
    await met(nodes)
    const [one, two] = nodes as [Node, Node]
    const at = (node: Node) => ['--home', node.home]
    const path = await tree(join(folder, 'photos'), 'first')
    const put = await cairn([...at(one), '--json', 'put', path, '--name', 'photos'])
    assert.is(put.exit, 0, put.stderr)
    const first = lastJson(put.stdout) as { cid: string; ref: { sequence: number; receipts: object[] } }
    assert.is(first.ref.sequence, 1)
    assert.ok(first.ref.receipts.length >= 2)
    await tree(path, 'second')
    const again = await cairn([...at(one), 'put', path, '--name', 'photos'])
    assert.match(again.stderr, /photos {2}2 {2}bafy\w+\nacknowledged by \S+ \d\d:\d\d/)
    assert.is((await cairn([...at(one), 'cat', 'photos/a.txt'])).stdout, 'second')
    assert.is((await cairn([...at(one), 'cat', 'photos@1/a.txt'])).stdout, 'first')
    await eventually('the other hears of the second', 60_000, async (tell) => {
      const elsewhere = await cairn([...at(two), 'cat', `${one.id}/photos/a.txt`])
      tell(elsewhere.stdout + elsewhere.stderr)
      return elsewhere.stdout === 'second' ? true : undefined
    })
    assert.is((await cairn([...at(one), 'ref', 'diff', 'photos'])).stdout, 'changed  a.txt\n')
    const log = await cairn([...at(one), 'ref', 'log', 'photos'])
    assert.match(log.stdout, /2 +bafy\w+ +now\n +1 +bafy\w+ +kept/)
    const stale = await cairn([...at(one), '--json', 'ref', 'set', 'photos', first.cid, '--if-seq', '1'])
    assert.is(stale.exit, 1)
    assert.match(stale.stdout + stale.stderr, /REF_STALE/)
    const back = await cairn([...at(one), '--json', 'ref', 'rollback', 'photos'])
    assert.is(lastJson(back.stdout).root, first.cid)
    assert.is(lastJson(back.stdout).sequence, 3)
    assert.match((await cairn([...at(two), 'ref', 'ls', '--all'])).stdout, /photos +3/)
    const unsure = await cairn([...at(one), 'ref', 'recover', 'photos'])
    assert.is(unsure.exit, 2)
    assert.match(unsure.stderr, /may fork/)
    const terms = ['--replicas', '2', '--lifetime', '30d', '--keep', '3']
    const changed = await cairn([...at(one), '--json', 'ref', 'set', 'photos', 'photos', ...terms])
    assert.is(changed.exit, 0, changed.stderr)
    const { root, replicas, lifetimeMs, keep } = lastJson(changed.stdout)
    assert.equal([root, replicas, lifetimeMs, keep], [first.cid, 2, 30 * 86_400_000, 3])
    assert.is((await cairn([...at(one), 'ref', 'rm', 'photos'])).exit, 0)
    const gone = await cairn([...at(one), 'get', 'photos'])
    assert.is(gone.exit, 4)
    assert.match(gone.stderr, /photos was removed, as 5/)
    assert.is((await cairn([...at(one), 'get', first.cid.slice(0, -2)])).exit, 2)
    await onlyTheDifference(one)
    await ownKey(one, two, first.cid)
  })
)

async function onlyTheDifference(node: Node): Promise<void> {
  const client = clientOf([node])
  const entries = (changed: string) => [
    { path: 'same', content: 'the same' },
    { path: 'below/also', content: 'the same as well' },
    { path: 'new', content: changed }
  ]
  const ref = { name: 'tree' }
  assert.is(await client.kept('tree'), undefined)
  const first = await client.putDir(entries('1'), { ref, digests: ['md5'] })
  assert.is(first.blocks, 5)
  assert.is(first.ref?.sequence, 1)
  assert.equal(first.pin, undefined)
  const kept = await client.kept('tree')
  assert.ok(kept?.has(first.cid))
  const second = await client.putDir(entries('2'), { ref, digests: ['md5'], ...(kept ? { kept } : {}) })
  assert.is(second.blocks, 2, 'the file that changed, and the directory')
  assert.is(second.ref?.metadata.digests?.split(' ').length, 2)
  const same = await client.putDir(entries('1'), { ref, ...(kept ? { kept } : {}) })
  assert.is(same.blocks, 0)
  assert.is(same.replicas, 3)
  assert.is(await (await client.get('tree/below/also')).text(), 'the same as well')
  assert.is(await (await client.get('tree/new')).text(), '1')
}

async function ownKey(one: Node, two: Node, cid: string): Promise<void> {
  const at = ['--home', one.home, '--node', one.url, '--key', 'mine']
  const made = await cairn([...at.slice(0, 2), '--json', 'key', 'new', 'mine'])
  assert.is(made.exit, 0, made.stderr)
  const file = join(one.home, 'keys', 'mine.key')
  assert.is((await stat(file)).mode & 0o777, 0o600)
  assert.is((await cairn([...at.slice(0, 2), 'key', 'new', 'mine'])).exit, 1, 'never in the place of another')
  const whose = await cairn([...at, 'ref', 'set', 'site', 'tree/new'])
  assert.is(whose.exit, 4)
  assert.match(whose.stderr, `there is no ref tree of this key`)
  assert.match(whose.stderr, `${one.id}/tree`)
  const set = await cairn([...at, '--json', 'ref', 'set', 'site', cid])
  assert.is(set.exit, 0, set.stderr)
  assert.is(lastJson(set.stdout).owner, lastJson(made.stdout).id)
  const secret = (await cairn([...at.slice(0, 2), 'key', 'export', 'mine'])).stdout
  assert.equal(Buffer.from(secret, 'base64'), await readFile(file))
  const moved = await cairn(['--home', two.home, 'key', 'import', 'moved'], { stdin: secret })
  assert.is(moved.stdout.trim(), lastJson(made.stdout).id)
  const there = await cairn(['--home', two.home, '--key', 'moved', '--json', 'ref', 'set', 'site', cid])
  assert.is(lastJson(there.stdout).sequence, 2, there.stderr)
}

refs(
  'with nodes killed one after another, the owner goes on while a majority of the voters lives',
  withNodes(async ({ network }) => {
    const nodes = await network(5, { flags: ['--repair-delay', '1s'] })
    await met(nodes)
    const client = clientOf(nodes, { key: await refKey(newSeed()) })
    const put = await client.put('what the name points to')
    assert.is((await client.refs.set('site', put.cid)).sequence, 1)
    let left = [...nodes]
    let sequence = 1
    for (const round of ['first', 'second']) {
      const { electorate } = await client.refs.get('site')
      const victim = left.find(({ id }) => electorate.some(({ peer }) => peer === id)) as Node
      await kill([victim])
      left = left.filter((node) => node !== victim)
      const startedMs = performance.now()
      const set = await client.refs.set('site', put.cid, { metadata: { round } })
      console.log(`a voter killed: updated after ${Math.round(performance.now() - startedMs)} ms`)
      assert.is(set.sequence, ++sequence)
      assert.is((await client.refs.get('site', { latest: true })).metadata.round, round)
      await met(left)
      const renewed = await client.refs.set('site', 'same', { ifSequence: sequence++ })
      assert.not(
        renewed.electorate.some(({ peer }) => peer === victim.id),
        'the dead vote no more'
      )
    }
  })
)

refs(
  'without a majority nothing is acknowledged; when it is back, the same update is',
  withNodes(async ({ network, restart }) => {
    const nodes = await network(3)
    await met(nodes)
    const client = clientOf([nodes[0] as Node], { key: await refKey(newSeed()) })
    const { cid } = await client.put('one')
    await client.refs.set('site', cid)
    await kill(nodes.slice(1))
    const failed = await client.refs.set('site', cid, { metadata: { n: '2' } }).then(
      () => 'acknowledged',
      (error) => (CairnError.is(error) ? error.code : String(error))
    )
    assert.is(failed, 'TOO_FEW_REPLICAS')
    const back = [nodes[0] as Node]
    for (const node of nodes.slice(1)) back.push(await restart(node))
    await met(back)
    await eventually('it is acknowledged', 60_000, async () => {
      const { metadata } = await client.refs.get('site', { latest: true })
      return metadata.n === '2' ? true : undefined
    })
  })
)

refs.run()
