/**
 * A real outage: the primary and every holder are killed, the mirror is promoted and written to with nobody
 * else there; then the others come back, and neither name has lost or taken anything of the other.
 */
// limit: 360 s
// beside others
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { makeTree, treeOf } from './support/data.ts'
import { eventually } from './support/eventually.ts'
import {
  cairn,
  clientOf,
  healed,
  kill,
  lastJson,
  met,
  type Node,
  signal,
  withNodes
} from './support/nodes.ts'

const mirrors = suite('mirrors and promotion')
const WHOLE_MS = 60_000

interface Promotion {
  ref: { owner: string; sequence: number; electorate: object[]; metadata: Record<string, string> }
  from: { owner: string; sequence: number; behind: { updates: number; beyond: { sequence: number }[] } }
}

/** Of a directory's very bytes, worked out here. */
const rootOf = async (path: string) => `${(await treeOf(path)).root}`

mirrors(
  'with the primary and all others killed the mirror is promoted, written to and read; then they come back',
  withNodes(async ({ folder, network, restart }) => {
    const nodes = await network(4, { flags: ['--repair-delay', '1s'] })
    const [one, two, three, mirror] = nodes as [Node, Node, Node, Node]
    const at = (node: Node) => ['--home', node.home]
    const path = join(folder, 'photos')
    await makeTree(path, { mebibytes: 12, small: 40 })
    const put = await cairn([...at(one), '--json', 'put', path, '--name', 'photos'])
    assert.is(put.exit, 0, put.stderr)
    const added = await cairn([...at(mirror), '--json', 'mirror', 'add', 'photos', '--lag', '1s', '--wait'])
    assert.is(added.exit, 0, added.stderr)
    assert.is((lastJson(added.stdout).whole as { sequence: number }).sequence, 1)
    const metrics = await (await fetch(`${mirror.url}/metrics`)).text()
    const of = `{owner="${one.id}",name="photos"}`
    assert.ok(metrics.includes(`\ncairn_mirror_updates_behind${of} 0\n`), metrics)
    assert.match(metrics, /\ncairn_received_bytes_total\{way="fetched"\} [1-9]/)

    const willing = await cairn([...at(two), 'mirror', 'add', 'photos', '--auto'])
    assert.is(willing.stdout, 'photos  mirrored here once it is read much\n', willing.stderr)
    assert.match((await cairn([...at(two), 'mirror', 'ls'])).stdout, /waiting until it is read much/)

    signal([mirror], 'SIGSTOP') // what the primary does now, the mirror has not
    const later = join(folder, 'later')
    await mkdir(later)
    await writeFile(join(later, 'new.txt'), 'after the mirror')
    const second = await cairn([...at(one), '--json', 'put', later, '--name', 'photos'])
    assert.is(second.exit, 0, second.stderr)
    await kill([one, two, three])
    signal([mirror], 'SIGCONT')

    const startedMs = performance.now()
    const promoted = await cairn([...at(mirror), '--json', 'mirror', 'promote', 'photos'])
    assert.is(promoted.exit, 0, promoted.stderr + promoted.stdout)
    console.log(`promoted after ${Math.round(performance.now() - startedMs)} ms`)
    const { ref, from } = lastJson(promoted.stdout) as unknown as Promotion
    assert.equal([ref.owner, ref.sequence, ref.electorate.length], [mirror.id, 1, 1])
    assert.equal([from.owner, from.sequence], [one.id, 1])
    assert.is(ref.metadata['promoted.owner'], one.id)
    assert.is(ref.metadata['promoted.at'], '0.1')
    const { updates, beyond } = from.behind
    assert.equal(
      beyond.map(({ sequence }) => sequence),
      updates === 0 ? [] : [2],
      'what is known beyond it is named'
    )
    assert.match((await cairn([...at(mirror), 'mirror', 'ls'])).stderr, /mirrors nothing/)

    await writeFile(join(path, 'written.txt'), 'during the outage')
    const written = await cairn([...at(mirror), '--json', 'put', path, '--name', 'photos', '--ack', 'one'])
    assert.ok(written.exit === 0 || written.exit === 6, written.stderr)
    assert.is((lastJson(written.stdout).ref as { sequence: number }).sequence, 2)
    console.log(`written to after ${Math.round(performance.now() - startedMs)} ms`)
    const out = join(folder, 'out')
    const got = await cairn([...at(mirror), 'get', 'photos', '-o', out])
    assert.is(got.exit, 0, got.stderr)
    assert.is(await rootOf(out), await rootOf(path))

    const back = [mirror]
    for (const node of [one, two, three]) back.push(await restart(node))
    await met(back, 90_000)
    for (const node of [back[1] as Node, mirror]) {
      const [old, own] = [join(folder, `old-${node.name}`), join(folder, `own-${node.name}`)]
      await eventually(`${node.name} reads both names`, WHOLE_MS, async () => {
        for (const out of [old, own]) await rm(out, { recursive: true, force: true })
        const first = await cairn([...at(node), 'get', `${one.id}/photos`, '-o', old])
        const other = await cairn([...at(node), 'get', `${mirror.id}/photos`, '-o', own])
        if (first.exit !== 0 || other.exit !== 0) return undefined
        // the old name has what was acknowledged for it, the new one what was written to it
        const same = (await rootOf(old)) === (await rootOf(later))
        return same && (await rootOf(own)) === (await rootOf(path)) ? true : undefined
      })
    }
    await healed(back, 90_000)
    const shared = await cairn([...at(mirror), '--json', 'ref', 'share', 'photos'])
    assert.is(shared.exit, 0, shared.stderr)
    assert.is((lastJson(shared.stdout).electorate as object[]).length, 3)
    const client = clientOf([back[1] as Node])
    const known = await client.refs.get('photos', { owner: mirror.id, latest: true })
    assert.equal([known.sequence, known.metadata['promoted.owner']], [3, one.id])
    assert.is(known.metadata.alone, undefined)
  })
)

mirrors(
  'with all others killed what a mirror has becomes a network of its own, which another node joins',
  withNodes(async ({ folder, network, start }) => {
    const [one, mirror] = (await network(2)) as [Node, Node]
    const path = join(folder, 'photos')
    await makeTree(path, { mebibytes: 3, small: 10 })
    const put = await cairn(['--home', one.home, '--json', 'put', path, '--name', 'photos'])
    assert.is(put.exit, 6, `two copies of three: ${put.stderr}`)
    const at = ['--home', mirror.home]
    const added = await cairn([...at, 'mirror', 'add', 'photos', '--lag', '1s', '--wait'])
    assert.is(added.exit, 0, added.stderr)
    await kill([one])
    const home = join(folder, 'apart')
    const apart = ['--json', 'mirror', 'promote', 'photos', '--network', 'new', '--to']
    const used = await cairn([...at, ...apart, one.home])
    assert.is(used.exit, 2, 'a home in use is left alone')
    const made = await cairn([...at, ...apart, home])
    assert.is(made.exit, 0, made.stderr)
    const { network: id, ref } = lastJson(made.stdout) as { network: string; ref: Record<string, unknown> }
    assert.is((ref.metadata as Record<string, string>)['split.name'], 'photos')
    assert.match((await cairn([...at, 'mirror', 'ls'])).stdout, /following/)
    await kill([mirror])
    const first = await start('apart')
    const invited = await cairn(['--home', home, '--json', 'invite'])
    const second = await start('joined', { join: String(lastJson(invited.stdout).invite) })
    await met([first, second])
    const ready = second.said.find(({ event }) => event === 'ready')
    assert.is((ready?.network as { id: string } | undefined)?.id, id)
    const out = join(folder, 'out')
    const got = await cairn(['--home', second.home, 'get', `${first.id}/photos`, '-o', out])
    assert.is(got.exit, 0, got.stderr)
    assert.is(await rootOf(out), await rootOf(path))
    const written = await cairn(['--home', home, '--json', 'put', out, '--name', 'photos'])
    assert.ok(written.exit === 0 || written.exit === 6, written.stderr)
    assert.is((lastJson(written.stdout).ref as { sequence: number }).sequence, 2)
  })
)

mirrors.run()
