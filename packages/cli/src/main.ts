/** The process: arguments in, one exit code out. Everything else is in the commands. */
import { EXIT, reportFailure } from './failure.ts'
import { buildProgram, CommanderError, usageError } from './program.ts'
import { outputOf, type Program } from './session.ts'

/** Runs one command line and returns its exit code. */
async function main(args: readonly string[]): Promise<number> {
  const { stdin, stdout, stderr } = process
  const program: Program = { streams: { stdin, stdout, stderr }, exit: EXIT.ok }
  try {
    await buildProgram(program).parseAsync(args, { from: 'user' })
    return program.exit
  } catch (error) {
    const failure = error instanceof CommanderError ? usageError(error, commandOf(args)) : error
    if (failure === undefined) return EXIT.ok
    // the arguments were not understood, so their own word for the output is looked for by hand
    const out = outputOf(program.streams, {
      json: args.includes('--json'),
      color: !args.includes('--no-color')
    })
    return reportFailure(failure, out)
  }
}

function commandOf(args: readonly string[]): string {
  const words = args.filter((arg) => /^[a-z]+$/.test(arg))
  return ['cairn', ...words.slice(0, 1)].join(' ')
}

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => resolve())
  })
}

// a reader that went away (`| head`) is no failure of the command
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit(EXIT.ok)
  })
}

const exit = await main(process.argv.slice(2))
await Promise.all([flushed(process.stdout), flushed(process.stderr)])
process.exit(exit) // sockets kept alive for reuse must not keep the command alive
