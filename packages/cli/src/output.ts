/**
 * Where a command's words go: data to stdout, prose and progress to stderr, and with `--json` one JSON
 * object a line on stdout and nothing else, errors included. Nothing else writes to either stream.
 */
import { styleText } from 'node:util'
import { type LiveLine, liveLine } from './progress.ts'

/** Of every JSON line, so that a script can tell when their shape changes. */
export const JSON_VERSION = 1

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

export interface Streams {
  stdin: NodeJS.ReadStream
  stdout: NodeJS.WriteStream
  stderr: NodeJS.WriteStream
}

export interface Output {
  readonly json: boolean
  readonly quiet: boolean
  readonly streams: Streams
  readonly live: LiveLine
  /** A result: the line of JSON, or its text. Both are data, so both go to stdout. */
  result(value: object, text: () => string): void
  /** Prose for a person: stderr, and not at all with `--json` or `-q`. */
  note(text: string): void
  /** What must be seen even with `-q`; with `--json` a line `{"warning": …}` on stderr. */
  warn(text: string): void
  /** Raw bytes of content. Resolves when more may be written. */
  bytes(chunk: Uint8Array): Promise<void>
  style(style: Style, text: string): string
  /** The same for stderr, which may be a terminal when stdout is not. */
  prose(style: Style, text: string): string
}

export interface OutputOptions {
  json: boolean
  quiet: boolean
  color: boolean
}

export function createOutput(streams: Streams, options: OutputOptions): Output {
  const { json, quiet, color } = options
  const { stdout, stderr } = streams
  const live = liveLine(stderr, stderr.isTTY === true && !json && !quiet && process.env.TERM !== 'dumb')
  const paint = (stream: NodeJS.WriteStream, style: Style, text: string): string =>
    color && wantsColour(stream) ? styleText(style, text, { validateStream: false }) : text
  return {
    json,
    quiet,
    streams,
    live,
    result(value, text) {
      live.clear()
      stdout.write(`${json ? JSON.stringify({ v: JSON_VERSION, ...value }) : text()}\n`)
    },
    note(text) {
      if (json || quiet) return
      live.clear()
      stderr.write(`${text}\n`)
    },
    warn(text) {
      live.clear()
      const line = json
        ? JSON.stringify({ v: JSON_VERSION, warning: text })
        : `${paint(stderr, 'yellow', 'warning:')} ${text}`
      stderr.write(`${line}\n`)
    },
    bytes: (chunk) =>
      new Promise((resolve, reject) => {
        stdout.write(chunk, (error) => (error ? reject(error) : resolve()))
      }),
    style: (style, text) => paint(stdout, style, text),
    prose: (style, text) => paint(stderr, style, text)
  }
}

/** https://no-color.org and FORCE_COLOR, then whether it is a terminal. */
function wantsColour(stream: NodeJS.WriteStream): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env
  if (NO_COLOR !== undefined && NO_COLOR !== '') return false
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== '0' && FORCE_COLOR !== '') return true
  return stream.isTTY === true && TERM !== 'dumb'
}
