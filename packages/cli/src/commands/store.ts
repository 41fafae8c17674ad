/** `cairn store rebuild`: the index of a stopped node, made again from what lies on its disk. */
import type { Command } from 'commander'
import { plural, size } from '../format.ts'
import { bar } from '../progress.ts'
import { act, type Program, type Session } from '../session.ts'

export function addStore(root: Command, program: Program): void {
  const store = root
    .command('store')
    .summary("a stopped node's disk: rebuild")
    .description('What can be done to the disk of a node that does not run.')
    .helpCommand(false)
  store
    .command('rebuild')
    .summary('make the index again from the segments')
    .description(
      'Makes the index of the store in this home again from its segments alone. Nothing that was deleted ' +
        'comes back. The node must be stopped. A node that finds its index damaged does this by itself.'
    )
    .action(act(program, rebuild))
}

async function rebuild({ out, home }: Session): Promise<undefined> {
  const { rebuildHome } = await import('@cairn/node')
  const startedMs = performance.now()
  const { blocks, bytes, diskBytes } = await rebuildHome(home, {
    onProgress: ({ bytes, total, blocks }) =>
      out.live.show(
        () => `reading ${bar(bytes, total)} ${size(bytes)}/${size(total)} · ${plural(blocks, 'block')}`
      )
  })
  const tookMs = Math.round(performance.now() - startedMs)
  out.result(
    { blocks, bytes, diskBytes, tookMs },
    () => `the index was made again: ${plural(blocks, 'block')} (${size(bytes)})`
  )
  return undefined
}
