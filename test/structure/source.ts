/**
 * Reads TypeScript well enough to judge it: comments gone, strings told from code, imports listed.
 * Our own, because TypeScript 7 has no parser to call. `code` keeps every line break and replaces the
 * content of each string by its number, so a rule about code never fires on a word in a text.
 */

export interface Source {
  code: string
  strings: string[]
}

export interface Import {
  /** As written: `./slot.ts`, `node:fs`, `@cairn/core`. Undefined for a dynamic import of an expression. */
  from: string | undefined
  line: number
}

/** After these a slash opens a regular expression; after anything else it divides. */
const BEFORE_REGEX =
  /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|of|in|do|else|yield|await|void))\s*$/

export function read(text: string): Source {
  const strings: string[] = []
  const code = readCode({ text, at: 0 }, strings, undefined)
  return { code, strings }
}

interface Cursor {
  text: string
  at: number
}

/** Code up to `end` or the end of the text. */
function readCode(cursor: Cursor, strings: string[], end: '}' | undefined): string {
  let code = ''
  let depth = 0
  while (cursor.at < cursor.text.length) {
    const char = cursor.text[cursor.at] as string
    if (end !== undefined && char === end && depth === 0) return code
    if (char === '{') depth++
    if (char === '}') depth--
    code += readNext(cursor, strings, code)
  }
  return code
}

function readNext(cursor: Cursor, strings: string[], before: string): string {
  const { text, at } = cursor
  const char = text[at] as string
  if (text.startsWith('//', at)) return skip(cursor, /\/\/[^\n]*/y)
  if (text.startsWith('/*', at)) return skip(cursor, /\/\*[\s\S]*?(?:\*\/|$)/y)
  if (char === "'" || char === '"') {
    const literal = match(cursor, char === "'" ? /'(?:[^'\\\n]|\\[\s\S])*'?/y : /"(?:[^"\\\n]|\\[\s\S])*"?/y)
    return `"#${strings.push(literal.slice(1, -1)) - 1}"`
  }
  if (char === '`') return readTemplate(cursor, strings)
  if (char === '/' && BEFORE_REGEX.test(before.slice(-80))) {
    return skip(cursor, /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*|\//y)
  }
  cursor.at++
  return char
}

/** The text of a template is left out; what it computes is code. */
function readTemplate(cursor: Cursor, strings: string[]): string {
  let code = '`'
  cursor.at++
  while (cursor.at < cursor.text.length) {
    code += match(cursor, /(?:[^`\\$]|\\[\s\S]|\$(?!\{))*/y).replace(/[^\n]/g, '')
    if (cursor.text[cursor.at] === '`') break
    cursor.at += 2
    code += `\${${readCode(cursor, strings, '}')}}`
    cursor.at++
  }
  cursor.at++
  return `${code}\``
}

function match(cursor: Cursor, pattern: RegExp): string {
  pattern.lastIndex = cursor.at
  const found = pattern.exec(cursor.text)?.[0] ?? ''
  cursor.at += found.length
  return found
}

function skip(cursor: Cursor, pattern: RegExp): string {
  const skipped = match(cursor, pattern)
  return skipped === '/' ? '/' : ` ${skipped.replace(/[^\n]/g, '')}`
}

const STATIC = /\b(?:import|export)\b[^"'`;()]*?\bfrom\s*"#(\d+)"|\bimport\s*"#(\d+)"/g
const DYNAMIC = /(?<![.\w$])import\s*\(\s*(?:"#(\d+)"\s*[,)])?/g

/** Every module that a source names: `import`, `export … from`, `import()`. */
export function importsOf({ code, strings }: Source): Import[] {
  return [...code.matchAll(STATIC), ...code.matchAll(DYNAMIC)].map((found) => {
    const index = found[1] ?? found[2]
    return {
      from: index === undefined ? undefined : strings[Number(index)],
      line: lineAt(code, found.index + found[0].length)
    }
  })
}

export function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}

/** The package of an import (`@cairn/blocks/fs` -> `@cairn/blocks`); undefined for files and Node's own. */
export function packageOf(from: string): string | undefined {
  if (/^(?:\.|\/|#|node:)/.test(from)) return undefined
  return from
    .split('/')
    .slice(0, from.startsWith('@') ? 2 : 1)
    .join('/')
}
