/**
 * Whose directory it is: format, a random id, a nonce that marks this store's records, how often it was
 * opened, and which inode the file had when it was written. A copy or a restored backup has another,
 * and so is noticed; a byte-for-byte image of the whole file system is not, and only its
 * neighbours can tell.
 */
import { randomBytes } from 'node:crypto'
import { type FileHandle, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { CairnError } from '@cairn/core'
import { fault, isErrno } from './fault.ts'
import { syncDirectory } from './files.ts'
import { NONCE_BYTES } from './format.ts'

/** What this version writes. */
export const FORMAT = 1
/** The oldest version that can read and write what this one writes. */
const FORMAT_OLDEST = 1

const NAME = 'store.json'
const ID_BYTES = 16

export interface Identity {
  format: number
  /** A Cairn of this format or later may open the store. */
  oldest: number
  /** 16 bytes, hex. Public. */
  id: string
  /** 16 bytes, hex. Never leaves the directory: with it a stranger's block could pass for a record. */
  nonce: string
  /** Grows with each opening. */
  openings: number
  inode: string
}

export interface Known {
  identity: Identity
  /** The directory was empty, or had segments but no identity. */
  created: boolean
  /** The directory is a copy of another, or was restored from a backup. */
  copied: boolean
}

/**
 * Reads the identity and counts the opening, or makes a new one. Lost or damaged beside segments, it is
 * made again with their nonce. @throws CairnError NEWER_VERSION
 */
export async function identify(directory: string, segmentNonce: Buffer | undefined): Promise<Known> {
  const kept = await readIdentity(directory, segmentNonce !== undefined)
  if (kept === undefined) {
    const id = randomBytes(ID_BYTES).toString('hex')
    const nonce = (segmentNonce ?? randomBytes(NONCE_BYTES)).toString('hex')
    const fresh = { format: FORMAT, oldest: FORMAT_OLDEST, id, nonce, openings: 1, inode: '' }
    return { identity: await writeIdentity(directory, fresh), created: true, copied: false }
  }
  const { identity, inode } = kept
  const copied = identity.inode !== inode
  const next = { ...identity, format: Math.max(identity.format, FORMAT), openings: identity.openings + 1 }
  return { identity: await writeIdentity(directory, next, copied), created: false, copied }
}

/**
 * Takes a copied directory for one's own: it is not noticed again. Its id is another from now on, so that
 * what is numbered by id and opening is never numbered twice, whatever the original goes on to do.
 */
export async function adopt(directory: string, identity: Identity): Promise<Identity> {
  return writeIdentity(directory, { ...identity, id: randomBytes(ID_BYTES).toString('hex') })
}

async function readIdentity(
  directory: string,
  replaceable: boolean
): Promise<{ identity: Identity; inode: string } | undefined> {
  try {
    const file = await open(join(directory, NAME), 'r')
    try {
      const inode = await inodeOf(file)
      return { identity: parse(await file.readFile('utf8'), directory), inode }
    } finally {
      await file.close()
    }
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) return undefined
    if (replaceable && CairnError.is(cause, 'STORE_DAMAGED')) return undefined
    throw fault(cause, `cannot read ${NAME}`)
  }
}

/** Its number, and when it was made where the file system tells: numbers of removed files are given again. */
async function inodeOf(file: FileHandle): Promise<string> {
  const { ino, birthtimeNs } = await file.stat({ bigint: true })
  return `${ino}.${birthtimeNs}`
}

function parse(text: string, directory: string): Identity {
  let identity: Identity
  try {
    identity = JSON.parse(text) as Identity
  } catch (cause) {
    throw new CairnError('STORE_DAMAGED', `${join(directory, NAME)} is not readable`, {
      cause,
      hint: 'Run `cairn store rebuild`.'
    })
  }
  if (identity.oldest > FORMAT) {
    throw new CairnError('NEWER_VERSION', `the store in ${directory} was written by a newer Cairn`, {
      hint: 'Run the version of Cairn that wrote it, or a later one.'
    })
  }
  return identity
}

/** Written aside, synced, renamed, the directory synced. A copy keeps the inode that shows it is one. */
async function writeIdentity(directory: string, identity: Identity, copied = false): Promise<Identity> {
  const part = join(directory, `${NAME}.part`)
  try {
    const file = await open(part, 'w', 0o600)
    let written: Identity
    try {
      written = copied ? identity : { ...identity, inode: await inodeOf(file) }
      await file.writeFile(`${JSON.stringify(written, undefined, 2)}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(part, join(directory, NAME))
    await syncDirectory(directory)
    return written
  } catch (cause) {
    throw fault(cause, `cannot write ${NAME}`)
  }
}
