/** `cairn version`: of the command, and of the Node that runs it. */
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { act, type Program } from '../session.ts'

export function addVersion(root: Command, program: Program): void {
  root
    .command('version')
    .summary('print the version')
    .action(
      act(program, async ({ out }) => {
        // beside src and dist alike
        const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'))
        out.result(
          { version, node: process.versions.node, platform: `${process.platform}-${process.arch}` },
          () => `cairn ${version} (node ${process.versions.node}, ${process.platform}-${process.arch})`
        )
        return undefined
      })
    )
}
