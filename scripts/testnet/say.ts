/** What the script prints: numbered steps, what was measured, a failure as expected and as seen. */
import { styleText } from 'node:util'

/** A step did not hold. */
export class StepFailed extends Error {
  override readonly name = 'StepFailed'
  readonly expected: string
  readonly seen: string
  constructor(expected: string, seen: string) {
    super(`expected ${expected}, saw ${seen}`)
    this.expected = expected
    this.seen = seen
  }
}

export function expect(holds: boolean, expected: string, seen: string): void {
  if (!holds) throw new StepFailed(expected, seen)
}

type Style = Parameters<typeof styleText>[0]

const paint = (style: Style, text: string): string => styleText(style, text, { stream: process.stdout })

export function line(text = ''): void {
  clear()
  process.stdout.write(`${text}\n`)
}

export function heading(text: string): void {
  line(paint('bold', text))
}

export function step(n: number, of: number, text: string): void {
  line()
  line(`${paint('cyan', `${n}/${of}`)}  ${paint('bold', text)}`)
}

/** A fact of the step under way. */
export function fact(text: string): void {
  line(`     ${text}`)
}

export function held(text: string): void {
  line(`   ${paint('green', '✓')} ${text}`)
}

export function failed({ expected, seen }: StepFailed): void {
  line(`   ${paint('red', '✗')} ${paint('red', 'this step failed')}`)
  fact(`expected: ${expected}`)
  fact(`seen:     ${seen}`)
}

let isDrawn = false

/** A line that the next one replaces; only a terminal gets it. */
export function live(text: string): void {
  if (!process.stdout.isTTY) return
  process.stdout.write(`\r\u001b[2K     ${paint('dim', text.slice(0, process.stdout.columns - 6))}`)
  isDrawn = true
}

export function clear(): void {
  if (isDrawn) process.stdout.write('\r\u001b[2K')
  isDrawn = false
}
