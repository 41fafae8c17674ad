import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { getPriority } from 'node:os'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { putLoopFirst } from '../src/threads.ts'

const threads = suite('putLoopFirst')

threads(
  'puts every thread but the event loop behind it, and no further when it is called again',
  async () => {
    if (process.platform !== 'linux') return
    await readFile(import.meta.filename) // libuv's threads start
    const own = getPriority(process.pid)
    for (let i = 0; i < 2; i++) {
      putLoopFirst()
      const others = readdirSync('/proc/self/task').map(Number)
      assert.ok(others.length > 1)
      for (const thread of others) {
        assert.is(
          getPriority(thread),
          thread === process.pid ? own : Math.min(19, own + 10),
          `thread ${thread}`
        )
      }
    }
  }
)

threads.run()
