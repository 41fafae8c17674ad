/** `cairn car`: whole DAGs as CAR files, for backups and for any other IPFS tool. */
import { createReadStream } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import type { Command } from 'commander'
import { EXIT } from '../failure.ts'
import { size } from '../format.ts'
import { act, type Program, type Session } from '../session.ts'

export function addCar(root: Command, program: Program): void {
  const car = root.command('car').summary('whole DAGs as CAR files: export, import').helpCommand(false)
  car
    .command('export')
    .argument('<CID>')
    .summary('write a DAG as a CAR file')
    .requiredOption('-o, --output <FILE>', 'where; - for stdout')
    .action(
      act(program, exportCar, {
        stdoutIsContent: (command) => command.opts<{ output: string }>().output === '-'
      })
    )
  car
    .command('import')
    .argument('<FILE|->')
    .summary('keep what a CAR file holds')
    .action(act(program, importCar))
}

async function exportCar(session: Session, command: Command): Promise<number> {
  const { out, signal } = session
  const { output } = command.opts<{ output: string }>()
  const client = await session.client()
  const cid = await client.locate((command.processedArgs as [string])[0], { signal })
  const chunks = await client.car.export(cid, { signal })
  if (output === '-') {
    for await (const chunk of chunks) await out.bytes(chunk)
    return EXIT.ok
  }
  const bytes = await writeWhole(output, chunks, (done) => out.live.show(() => `exporting: ${size(done)}`))
  out.result({ cid: cid.toString(), path: output, size: bytes }, () => `${output}  ${size(bytes)}`)
  return EXIT.ok
}

/** The final name never holds half a file. */
async function writeWhole(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
  onBytes: (done: number) => void
): Promise<number> {
  const part = `${path}.part`
  const file = await open(part, 'w')
  let bytes = 0
  try {
    for await (const chunk of chunks) {
      await file.writeFile(chunk)
      bytes += chunk.length
      onBytes(bytes)
    }
  } catch (error) {
    await rm(part, { force: true })
    throw error
  } finally {
    await file.close()
  }
  await rename(part, path)
  return bytes
}

async function importCar(session: Session, command: Command): Promise<number> {
  const { out, signal } = session
  const [path] = command.processedArgs as [string]
  const source = path === '-' ? out.streams.stdin : createReadStream(path, { highWaterMark: 1024 * 1024 })
  const upload = (await session.client()).car.import(source, { signal })
  for await (const { bytes } of upload.progress()) out.live.show(() => `importing: ${size(bytes)}`)
  const { cid, size: bytes, blocks, replicas, wanted } = await upload
  const value = { cid: cid.toString(), size: bytes, blocks, replicas, wanted }
  out.result(value, () => `${cid}  ${size(bytes)}  ${replicas}/${wanted} replicas`)
  return replicas < wanted ? EXIT.underReplicated : EXIT.ok
}
