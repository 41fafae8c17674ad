/**
 * How numbers, names and tables look to a person. Pure: text in, text out. Exact values go to `--json`;
 * here sizes are decimal (1 GB = 10^9 bytes, as disks are sold) with at most one digit after the point.
 */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB']

/** `1.2 GB`. */
export function size(bytes: number): string {
  let value = bytes
  let unit = 0
  // 999.5 would print as 1000, so the next unit begins there
  while (unit < UNITS.length - 1 && value >= (unit === 0 ? 1_000 : 999.5)) {
    value /= 1_000
    unit += 1
  }
  const text = unit === 0 || value >= 99.95 ? value.toFixed(0) : value.toFixed(1)
  return `${text} ${UNITS[unit]}`
}

/** `88 MB/s`. */
export function rate(bytesPerSecond: number): string {
  return `${size(bytesPerSecond)}/s`
}

/** `12,944`. */
export function count(n: number): string {
  return Math.round(n).toLocaleString('en-US')
}

/** `1 block`, `2 blocks`. */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`
}

/** `340 ms`, `2.1 s`, `4 min`, `3 h`, `2 d`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  const seconds = ms / 1_000
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  if (seconds < 99.5) return `${Math.round(seconds)} s`
  const minutes = seconds / 60
  if (minutes < 99.5) return `${Math.round(minutes)} min`
  const hours = minutes / 60
  if (hours < 47.5) return `${Math.round(hours)} h`
  return `${Math.round(hours / 24)} d`
}

/** `bafybei…q4e`: enough to recognise, never to copy. */
export function shortCid(cid: string): string {
  return cid.length <= 12 ? cid : `${cid.slice(0, 7)}…${cid.slice(-3)}`
}

/**
 * Control and formatting characters (C0, DEL, C1, zero-width, bidirectional), line and paragraph
 * separators, lone surrogates: what could move the cursor, hide text or change what a terminal does.
 */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/** A name from outside, fit for a terminal: `a\u{1b}[2Jb`. A backslash is doubled: nothing is lost. */
export function safe(text: string): string {
  return text
    .replaceAll('\\', '\\\\')
    .replace(UNSAFE, (char) => `\\u{${(char.codePointAt(0) as number).toString(16)}}`)
}

/** Prose from outside (an error's message): as `safe`, but lines stay lines and backslashes single. */
export function safeProse(text: string): string {
  return text.replace(UNSAFE, (char) =>
    char === '\n' || char === '\t' ? char : `\\u{${(char.codePointAt(0) as number).toString(16)}}`
  )
}

export interface Column {
  title: string
  /** Numbers line up on the right. */
  right?: boolean
}

// wide enough for East Asian text and emoji, the two cases that break columns in practice
const EAST_ASIAN = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60]/
const EMOJI = /\p{Emoji_Presentation}/u
/** What `styleText` puts around a text: it takes no room. */
const COLOUR = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g')

/** Columns of a terminal that a text takes, colours not counted. */
export function width(text: string): number {
  let columns = 0
  for (const char of text.replace(COLOUR, '')) {
    if (/\p{Mn}/u.test(char)) continue
    columns += EAST_ASIAN.test(char) || EMOJI.test(char) ? 2 : 1
  }
  return columns
}

/** Rows under their titles, two spaces between columns, no trailing blanks. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(({ title }, i) =>
    Math.max(width(title), ...rows.map((row) => width(row[i] ?? '')))
  )
  const line = (cells: readonly string[]): string =>
    columns
      .map(({ right }, i) => {
        const cell = cells[i] ?? ''
        const room = ' '.repeat((widths[i] as number) - width(cell))
        return right === true ? room + cell : cell + room
      })
      .join('  ')
      .trimEnd()
  return [line(columns.map(({ title }) => title)), ...rows.map(line)].join('\n')
}
