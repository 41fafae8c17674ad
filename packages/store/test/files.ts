import { readdirSync, readlinkSync } from 'node:fs'
import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { isErrno } from '../src/fault.ts'
import { Files } from '../src/files.ts'
import { inScratch } from './scratch.ts'

const files = suite('Files')

async function withFiles(work: (files: Files) => Promise<void>): Promise<void> {
  await inScratch(async (directory) => {
    const opened = await Files.open(directory)
    try {
      await work(opened)
    } finally {
      await opened.close()
    }
  })
}

files('what is written at a position is read there, and no further than the end', () =>
  withFiles(async (opened) => {
    await opened.create(1, Buffer.from('page'))
    await opened.write(1, 4, [Buffer.from('one'), Buffer.from(''), Buffer.from('two')])
    await opened.sync(1)
    assert.is(String(await opened.read(1, 0, 100)), 'pageonetwo')
    assert.is(String(await opened.read(1, 7, 3)), 'two')
    await opened.truncate(1, 5)
    assert.equal(await opened.list(), new Map([[1, 5]]))
  })
)

files('a segment is made once', () =>
  withFiles(async (opened) => {
    await opened.create(1, Buffer.alloc(1))
    const error = await opened.create(1, Buffer.alloc(1)).catch((cause) => cause)
    assert.ok(isErrno(error, 'EEXIST'))
  })
)

files('a read under way outlives the removal of its segment', () =>
  withFiles(async (opened) => {
    await opened.create(1, Buffer.alloc(1 << 20, 7))
    const reading = Array.from({ length: 20 }, () => opened.read(1, 0, 1 << 20))
    await opened.remove(1)
    for (const bytes of await Promise.all(reading)) assert.is(bytes.length, 1 << 20)
    const error = await opened.read(1, 0, 1).catch((cause) => cause)
    assert.ok(CairnError.is(error) && isErrno(error, 'ENOENT'))
  })
)

/** Descriptors of this process on files of the directory; 0 where that can't be seen. */
function openSegments(directory: string): number {
  if (process.platform !== 'linux') return 0
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(directory)
    } catch {
      return false // closed meanwhile
    }
  }).length
}

files('far more segments than may be open at once are read and written', () =>
  withFiles(async (opened) => {
    for (let segment = 1; segment <= 300; segment++)
      await opened.create(segment, Buffer.from(String(segment)))
    const read = Array.from({ length: 900 }, async (_, i) => {
      const segment = 1 + ((i * 7) % 300)
      assert.is(String(await opened.read(segment, 0, 9)), String(segment))
    })
    await Promise.all(read)
    for (let i = 0; i < 1000 && openSegments(opened.directory) > 128; i++) {
      await new Promise((resolve) => setTimeout(resolve, 5)) // those let go of are being closed
    }
    assert.ok(openSegments(opened.directory) <= 128)
  })
)

files.run()
