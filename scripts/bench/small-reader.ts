/** Sixteen clients in one process, each reading small blocks one after the other: told in one line. */
import { randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createClient } from '@cairn/client'

const CLIENTS = 16
const [url = '', path = '', seconds = '0'] = process.argv.slice(2)
const cids = readFileSync(path, 'utf8').split('\n')
const tookMs: number[] = []
const startedMs = performance.now()
const endMs = startedMs + 1_000 * Number(seconds)
await Promise.all(
  Array.from({ length: CLIENTS }, async () => {
    const client = createClient({ url })
    while (performance.now() < endMs) {
      const fromMs = performance.now()
      await client.getBlock(cids[randomInt(cids.length)] as string)
      tookMs.push(performance.now() - fromMs)
    }
  })
)
const spent = (performance.now() - startedMs) / 1_000
tookMs.sort((a, b) => a - b)
const at = (share: number): number => tookMs[Math.floor(share * tookMs.length)] ?? Number.NaN
console.log(JSON.stringify({ perSecond: tookMs.length / spent, p50Ms: at(0.5), p99Ms: at(0.99) }))
process.stdin.destroy()
