/**
 * Two directories, byte for byte: names, kinds, symlink targets, contents. Written without anything of
 * Cairn's, so that a mistake there can't hide itself here.
 */
import { type FileHandle, lstat, open, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'

const READ_BYTES = 1024 * 1024

export interface Compared {
  files: number
  directories: number
  symlinks: number
  bytes: number
}

/** @returns what was compared. @throws Error that names the first difference */
export async function compareTrees(one: string, other: string, names?: readonly string[]): Promise<Compared> {
  const seen: Compared = { files: 0, directories: 0, symlinks: 0, bytes: 0 }
  await compareDirectory(one, other, seen, names)
  return seen
}

async function compareDirectory(
  one: string,
  other: string,
  seen: Compared,
  names?: readonly string[]
): Promise<void> {
  const left = [...(names ?? (await readdir(one)))].sort()
  const right = (await readdir(other)).sort()
  const missing = left.find((name) => !right.includes(name)) ?? right.find((name) => !left.includes(name))
  if (missing !== undefined) throw new Error(`${join(one, missing)} is not on both sides`)
  seen.directories += 1
  for (const name of left) await compareEntry(join(one, name), join(other, name), seen)
}

async function compareEntry(one: string, other: string, seen: Compared): Promise<void> {
  const [left, right] = await Promise.all([lstat(one), lstat(other)])
  if (left.isDirectory() && right.isDirectory()) return compareDirectory(one, other, seen)
  if (left.isSymbolicLink() && right.isSymbolicLink()) {
    const [to, otherTo] = await Promise.all([readlink(one, 'buffer'), readlink(other, 'buffer')])
    if (!to.equals(otherTo)) throw new Error(`${one} leads elsewhere in the copy`)
    seen.symlinks += 1
  } else if (left.isFile() && right.isFile()) {
    if (left.size !== right.size) throw new Error(`${one}: ${left.size} bytes, its copy ${right.size}`)
    await compareContent(one, other)
    seen.files += 1
    seen.bytes += left.size
  } else throw new Error(`${one} is of another kind in the copy`)
}

async function compareContent(one: string, other: string): Promise<void> {
  const left = await open(one)
  try {
    const right = await open(other)
    try {
      await compareFiles(left, right, one)
    } finally {
      await right.close()
    }
  } finally {
    await left.close()
  }
}

async function compareFiles(left: FileHandle, right: FileHandle, name: string): Promise<void> {
  for (let at = 0; ; ) {
    const [a, b] = await Promise.all([readAt(left, at), readAt(right, at)])
    if (!a.equals(b)) throw new Error(`${name} differs from its copy within ${READ_BYTES} bytes after ${at}`)
    if (a.length === 0) return
    at += a.length
  }
}

/** As many bytes as there are, up to READ_BYTES: a single read may give fewer. */
async function readAt(file: FileHandle, at: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(READ_BYTES)
  let filled = 0
  while (filled < READ_BYTES) {
    const { bytesRead } = await file.read(buffer, filled, READ_BYTES - filled, at + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return buffer.subarray(0, filled)
}
