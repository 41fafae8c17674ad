/** One node of five has a disk that says "synced" and is not, and then loses power: the others repair it. */
// limit: 180 s
// beside others
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { expectCopies, heldIn, keysToHold, makeTree, putTree, readAll, treeOf } from './support/data.ts'
import { canMount, type Disk, onDisk, ownMounts, run } from './support/disk.ts'
import { eventually } from './support/eventually.ts'
import { clientOf, healed, kill, met, stop, type World, withNodes } from './support/nodes.ts'

/** For what one node lost to be copied again. Some seconds on an idle machine. */
const REPAIR_MS = 120_000
/** Below what the disk has. */
const FLAGS = ['--repair-delay', '1s', '--capacity', '100MB']
/** Every sync says that it worked, and does nothing. -D: the node is the child, not who traces it. */
const LIE = [
  ...['strace', '-f', '-qq', '-D', '-o', '/dev/null'],
  ...['-e', 'trace=fdatasync,fsync', '-e', 'inject=fdatasync,fsync:retval=0']
]

const lying = suite('a lying disk')

async function lieAndRepair(world: World, disk: Disk): Promise<void> {
  const nodes = await world.network(4, { flags: FLAGS })
  const invite = await clientOf(nodes).invite()
  await symlink(disk.path, join(world.folder, 'n5'))
  // honest at first: a disk that loses the very identity is an empty disk, which is another test
  const honest = await world.start('n5', { flags: FLAGS, join: invite })
  await met([...nodes, honest])
  await stop([honest])
  run('sync')
  const liar = await world.restart(honest, { flags: FLAGS, before: LIE })
  await met([...nodes, liar])
  const tree = await treeOf(await makeTree(`${world.folder}/tree`, { mebibytes: 12, small: 60 }))
  const put = await putTree(clientOf(nodes), tree.path)
  assert.is(put.replicas, 3)
  const share = keysToHold(await clientOf(nodes).peers(), liar.id, { keys: tree.keys, n: 3 })
  disk.cut()
  await kill([liar])
  await remounted(disk)
  const left = await heldIn(honest.home, share)
  console.log(`${share.length - left.size} of ${share.length} acknowledged blocks were lost`)
  assert.ok(left.size < share.length, 'the lie cost something')
  assert.is(await readAll(clientOf(nodes), tree.root), put.size, 'the others serve all')

  const again = await world.restart(honest, { flags: FLAGS })
  const all = [...nodes, again]
  await met(all)
  await healed(all, REPAIR_MS)
  assert.is(await readAll(clientOf([again]), tree.root), put.size)
  await stop(all)
  assert.is((await heldIn(again.home, share)).size, share.length, 'it has its share again')
  await expectCopies(
    all.map(({ home }) => home),
    tree.keys,
    3
  )
}

/** Who traced the process ends a moment after it. */
async function remounted(disk: Disk): Promise<void> {
  await eventually('the disk is let go of', 60_000, (tell) => {
    try {
      disk.unmount()
      return true
    } catch (cause) {
      tell(String(cause))
      return undefined
    }
  })
  disk.mount()
}

ownMounts(import.meta.url)
if (canMount()) {
  lying('what it acknowledged and lost is served by the others and put back', () =>
    onDisk((disk) => withNodes((world) => lieAndRepair(world, disk))())
  )
} else {
  console.log('SKIPPED: power cuts need root, loop devices, mkfs.ext4, perl and strace')
}

lying.run()
