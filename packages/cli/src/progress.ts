/**
 * One line that says how far a long command is: pure text from a state, and a writer that shows it on
 * a terminal's stderr and nowhere else. Put shows two phases, because bytes sent are not replicas kept.
 */
import { duration, rate, size, width } from './format.ts'

const BAR_CELLS = 10
/** Rates are of the last seconds, so that a stall shows. */
const RATE_WINDOW_MS = 5_000
/** Ten a second: smooth to the eye, nothing to a terminal. */
const DRAW_MIN_MS = 100

/** What a terminal of unknown width (some say 0) is taken to have. */
const COLUMNS_UNKNOWN = 80

/** `███████░░░`. */
export function bar(part: number, whole: number): string {
  const share = whole <= 0 ? 0 : Math.min(1, Math.max(0, part / whole))
  const full = Math.floor(share * BAR_CELLS)
  return '█'.repeat(full) + '░'.repeat(BAR_CELLS - full)
}

export interface Meter {
  /** Tells what has been done in all by `nowMs`. */
  add(done: number, nowMs: number): void
  /** Units a second over the last seconds; 0 before two readings. */
  perSecond(): number
}

export function meter(): Meter {
  const readings: { done: number; atMs: number }[] = []
  return {
    add(done, nowMs) {
      readings.push({ done, atMs: nowMs })
      while (readings.length > 2 && (readings[1] as { atMs: number }).atMs <= nowMs - RATE_WINDOW_MS) {
        readings.shift()
      }
    },
    perSecond() {
      const first = readings[0]
      const last = readings.at(-1)
      if (first === undefined || last === undefined || last.atMs <= first.atMs) return 0
      return ((last.done - first.done) * 1_000) / (last.atMs - first.atMs)
    }
  }
}

export interface PutState {
  hashed: number
  sent: number
  /** Unknown while the directory is still being measured, and for stdin. */
  total: number | undefined
  /** Mean receipts of the blocks acknowledged so far. */
  replicas: number
  wanted: number
  perSecond: number
}

/** `hashing ██████████ 1.2/1.2 GB   replicas ███████░░░ 2.4/3 · 88 MB/s · ETA 9 s`. */
export function putLine(state: PutState): string {
  const { hashed, sent, total, replicas, wanted, perSecond } = state
  const hashing =
    total === undefined
      ? `hashing ${size(hashed)}`
      : `hashing ${bar(hashed, total)} ${size(hashed)}/${size(total)}`
  // confirmed over the whole: what is not yet sent has no replica
  const confirmed = total === undefined || total === 0 ? replicas : (replicas * sent) / total
  const kept = `replicas ${bar(confirmed, wanted)} ${confirmed.toFixed(1)}/${wanted}`
  return [`${hashing}   ${kept}`, ...tail(total === undefined ? undefined : total - sent, perSecond)].join(
    ' · '
  )
}

export interface GetState {
  done: number
  total: number | undefined
  /** Found already there and verified, of `done`. */
  resumed: number
  perSecond: number
}

/** `resumed at 61 % ████████░░ 0.9/1.2 GB · 41 MB/s · ETA 11 s`. */
export function getLine(state: GetState): string {
  const { done, total, resumed, perSecond } = state
  const head =
    resumed > 0 && total !== undefined && total > 0
      ? `resumed at ${Math.floor((100 * resumed) / total)} % `
      : 'getting '
  const body = total === undefined ? size(done) : `${bar(done, total)} ${size(done)}/${size(total)}`
  return [head + body, ...tail(total === undefined ? undefined : total - done, perSecond)].join(' · ')
}

function tail(left: number | undefined, perSecond: number): string[] {
  if (perSecond <= 0) return []
  if (left === undefined || left <= 0) return [rate(perSecond)]
  return [rate(perSecond), `ETA ${duration((1_000 * left) / perSecond)}`]
}

/** Cuts a line to the terminal's width, so that redrawing it stays on one row. */
export function fit(line: string, columns: number): string {
  if (width(line) < columns) return line
  let kept = ''
  for (const char of line) {
    if (width(kept) + width(char) > columns - 2) break
    kept += char
  }
  return `${kept}…`
}

export interface LiveLine {
  /** Shows the line that `render` gives, unless one was shown a moment ago. */
  show(render: () => string): void
  /** Takes the line away, before anything else is printed. */
  clear(): void
}

/** A line that redraws itself on a terminal, and says nothing to a pipe or a file. */
export function liveLine(stream: NodeJS.WriteStream, enabled: boolean): LiveLine {
  let shownMs = 0
  let visible = false
  return {
    show(render) {
      const nowMs = performance.now()
      if (!enabled || (shownMs > 0 && nowMs - shownMs < DRAW_MIN_MS)) return
      shownMs = nowMs
      visible = true
      stream.write(`\r\u001b[2K${fit(render(), stream.columns || COLUMNS_UNKNOWN)}`)
    },
    clear() {
      if (visible) stream.write('\r\u001b[2K')
      visible = false
    }
  }
}
