/**
 * A million blocks of 100 bytes: what they cost in memory, and how long until they are there again after a
 * clean stop, and after the power failed at the worst moment (where a disk can be made whose power fails).
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { canMount, onDisk } from '../../test/support/disk.ts'
import { start } from './processes.ts'

const DISK_BYTES = 3 * 1024 ** 3

interface Memory {
  own: number
  mapped: number
}

interface Put {
  perSecond: number
  rssMb: Memory
}

interface Swept {
  open: number
  blocks: number
  openedMb: Memory
  summaries: number
  sweep: number
  sweptMb: Memory
}

const script = 'store-million-process.ts'

async function phase<T>(name: string, directory: string): Promise<T> {
  const child = await start<T>(script, [name, directory])
  await child.end()
  return child.said
}

const memory = ({ own, mapped }: Memory): string =>
  `${own.toFixed(0)} MB of its own, ${mapped.toFixed(0)} MB of files mapped`

function tell(what: string, figure: string, note = ''): void {
  console.log(`| ${what} | ${figure}${note === '' ? '' : `; ${note}`} |`)
}

function tellSwept(how: string, { open, blocks, openedMb, summaries, sweep, sweptMb }: Swept): void {
  tell(`open after ${how}`, `${(1000 * open).toFixed(0)} ms`, `${blocks} blocks, ${memory(openedMb)}`)
  tell('all summaries then', `${sweep.toFixed(1)} s`, `${summaries} of them, ${memory(sweptMb)}`)
}

export async function million(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'cairn-bench-'))
  console.log('\n### A million blocks of 100 bytes; memory is that of the whole process\n\n| | |\n|---|---|')
  try {
    const { perSecond, rssMb } = await phase<Put>('put', directory)
    tell('put, 100 a call, 16 callers', `${perSecond.toFixed(0)}/s`, `${memory(rssMb)}`)
    tellSwept('a clean stop', await phase<Swept>('sweep', directory))
    const rebuilt = await phase<{ rebuild: number; rssMb: Memory }>('rebuild', directory)
    tell('rebuild', `${rebuilt.rebuild.toFixed(1)} s`, `${memory(rebuilt.rssMb)}`)
  } finally {
    await rm(directory, { recursive: true })
  }
  if (!canMount()) return tell('open after a power cut', 'not measured', 'it needs root and loop devices')
  await onDisk(async (disk) => {
    const store = join(disk.path, 'store')
    const child = await start<Put>(script, ['put', store])
    disk.cut()
    await child.end()
    disk.unmount()
    disk.mount()
    tellSwept('a power cut', await phase<Swept>('sweep', store))
  }, DISK_BYTES)
}
