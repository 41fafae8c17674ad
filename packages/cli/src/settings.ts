/**
 * `cairn.toml` in the home: what a person would otherwise type each time. A flag wins over the
 * environment (`CAIRN_…`), that over this file, and this over the defaults. An unknown key or a value
 * of the wrong kind is an error: a setting that silently does nothing is worse than none.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CairnError } from '@cairn/core'
import { parse, TomlError } from 'smol-toml'
import {
  nearest,
  parseCount,
  parseDuration,
  parseHost,
  parseListen,
  parseSize,
  REPLICAS_MAX
} from './parse.ts'

export interface Settings {
  /** Nodes that commands talk to, URLs. */
  node?: string[]
  timeout?: number
  replicas?: number
  listen?: string[]
  port?: number
  host?: string
  freeReads?: boolean
  bulkPort?: number
  capacity?: number
  zone?: string
  name?: string
  mdns?: boolean
  repairDelay?: number
}

export const SETTINGS_FILE = 'cairn.toml'

interface Kind<T> {
  kind: string
  /** `undefined` when the value is of another kind. */
  read(value: unknown): T | undefined
}

const text: Kind<string> = { kind: 'text', read: (value) => (typeof value === 'string' ? value : undefined) }
const flag: Kind<boolean> = {
  kind: 'true or false',
  read: (value) => (typeof value === 'boolean' ? value : undefined)
}

function texts(each: (value: string) => string = (value) => value): Kind<string[]> {
  return {
    kind: 'a list of texts',
    read(value) {
      const list = typeof value === 'string' ? [value] : value
      if (!Array.isArray(list) || !list.every((item) => typeof item === 'string')) return undefined
      return list.map(each)
    }
  }
}

function whole(what: string, range: { least: number; most: number }): Kind<number> {
  return {
    kind: 'a whole number',
    read: (value) => (typeof value === 'number' ? parseCount(String(value), what, range) : undefined)
  }
}

function worded<T>(kind: string, read: (value: string) => T): Kind<T> {
  return { kind, read: (value) => (typeof value === 'string' ? read(value) : undefined) }
}

/** Every key, as it is written in the file; the field is the same in camel case. */
const KEYS: { [K in keyof Required<Settings>]: Kind<Required<Settings>[K]> } = {
  node: texts(),
  timeout: worded('a duration such as "30s"', parseDuration),
  replicas: whole('a number of replicas', { least: 1, most: REPLICAS_MAX }),
  listen: texts(parseListen),
  port: whole('a port', { least: 0, most: 65_535 }),
  host: worded('an address such as "192.168.1.7"', parseHost),
  freeReads: flag,
  bulkPort: whole('a port', { least: 0, most: 65_535 }),
  capacity: worded('a size such as "200GB"', parseSize),
  zone: text,
  name: text,
  mdns: flag,
  repairDelay: worded('a duration such as "15s"', parseDuration)
}

const written = (field: string): string => field.replace(/[A-Z]/g, (char) => `-${char.toLowerCase()}`)
const FIELDS = new Map(Object.keys(KEYS).map((field) => [written(field), field as keyof Settings]))

/** @throws CairnError BAD_CONFIG that names the file, the key and what it would take. */
export function parseSettings(toml: string, file: string): Settings {
  const settings: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(parseToml(toml, file))) {
    const field = FIELDS.get(key)
    if (field === undefined) {
      const meant = nearest(key, [...FIELDS.keys()])
      throw new CairnError('BAD_CONFIG', `unknown key "${key}" in ${file}`, {
        hint:
          meant === undefined ? `known keys: ${[...FIELDS.keys()].join(', ')}` : `did you mean "${meant}"?`
      })
    }
    settings[field] = readValue(field, value, file)
  }
  return settings
}

function readValue(field: keyof Settings, value: unknown, file: string): unknown {
  const kind: Kind<unknown> = KEYS[field]
  try {
    const read = kind.read(value)
    if (read !== undefined) return read
  } catch (cause) {
    const hint = CairnError.is(cause) ? cause.hint : undefined
    throw new CairnError('BAD_CONFIG', `${written(field)} in ${file}: ${(cause as Error).message}`, {
      cause,
      ...(hint === undefined ? {} : { hint })
    })
  }
  throw new CairnError('BAD_CONFIG', `${written(field)} in ${file} must be ${kind.kind}`, {
    hint: `correct it, or take the line out`
  })
}

function parseToml(toml: string, file: string): Record<string, unknown> {
  try {
    return parse(toml)
  } catch (cause) {
    const where = cause instanceof TomlError ? ` at line ${cause.line}, column ${cause.column}` : ''
    throw new CairnError('BAD_CONFIG', `${file} is not valid TOML${where}`, {
      cause,
      hint: 'a line reads: key = "value"'
    })
  }
}

/** The settings of a home; none when it has no file. */
export async function readSettings(home: string): Promise<Settings> {
  const file = join(home, SETTINGS_FILE)
  let toml: string
  try {
    toml = await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw error
  }
  return parseSettings(toml, file)
}
