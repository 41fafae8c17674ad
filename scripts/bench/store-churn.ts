/** What is written for each byte put while blocks come and go, by how full the store is. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { start } from './processes.ts'

/** Of the capacity, in blocks that are kept; the rest is what was deleted, the index and the reserve. */
const SHARES = [0.4, 0.6, 0.7]

interface Churned {
  /** Bytes written for each put, at first, and while others go. */
  fill: number
  churn: number
  /** Of the capacity, at the end. */
  disk: number
}

export async function churn(): Promise<void> {
  const title = '### Blocks of 64 KiB that come and go at random: bytes written for each byte put'
  console.log(
    `\n${title}\n\n| in use of the capacity | at first | replaced twice | on disk then |\n|---|---|---|---|`
  )
  for (const share of SHARES) {
    const directory = await mkdtemp(join(tmpdir(), 'cairn-bench-'))
    try {
      const child = await start<Churned>('store-churn-process.ts', [`${share}`, join(directory, 'store')])
      await child.end()
      const { fill, churn, disk } = child.said
      console.log(`| ${share} | ${fill.toFixed(2)} | ${churn.toFixed(2)} | ${disk.toFixed(2)} |`)
    } finally {
      await rm(directory, { recursive: true })
    }
  }
}
