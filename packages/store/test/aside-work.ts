import * as crypto from 'node:crypto'
import { once } from 'node:events'
import * as os from 'node:os'
import * as threads from 'node:worker_threads'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Asked, work } from '../src/aside-work.ts'

const asideWork = suite('aside-work')

asideWork('its text alone, given modules, hashes what lies in a slot, in the order asked', async () => {
  const memory = new SharedArrayBuffer(3_000)
  const bytes = crypto.randomFillSync(new Uint8Array(memory))
  const { port1, port2 } = new threads.MessageChannel()
  const alone: typeof work = Function(`return (${work})`)()
  alone({ ...threads, parentPort: port1, workerData: memory }, crypto, os)
  const asked: Asked[] = [
    { slot: 1, offset: 1_000, name: 'sha256', length: 2_000 },
    { slot: 0, offset: 0, name: 'sha512', length: 1 }
  ]
  const found: unknown[] = []
  port2.on('message', (hashed) => found.push(hashed))
  for (const one of asked) port2.postMessage(one)
  while (found.length < asked.length) await once(port2, 'message')
  port2.close()
  assert.equal(found, [
    { slot: 1, digest: crypto.hash('sha256', bytes.subarray(1_000)) },
    { slot: 0, digest: crypto.hash('sha512', bytes.subarray(0, 1)) }
  ])
})

asideWork.run()
