/** `cairn version` and `cairn --version`: of the command, and of the Node that runs it. */
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { act, type Program } from '../session.ts'

const platform = `${process.platform}-${process.arch}`

export function addVersion(root: Command, program: Program): void {
  const version = readVersion()
  const line = `cairn ${version} (node ${process.versions.node}, ${platform})`
  root.version(line, '-V, --version', 'print the version')
  root
    .command('version')
    .summary('print the version')
    .action(
      act(program, async ({ out }) => {
        out.result({ version, node: process.versions.node, platform }, () => line)
        return undefined
      })
    )
}

function readVersion(): string {
  // beside src and dist alike
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}
