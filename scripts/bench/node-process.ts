/**
 * A node of its own process for benchmarks, `HOME INVITE CONFIG`: says where it is in one line, and ends when
 * its stdin does. A line there is where a CPU profile is to be written, which the next line ends.
 */
import { writeFile } from 'node:fs/promises'
import { Session } from 'node:inspector/promises'
import { createInterface } from 'node:readline'
import { setYoung } from '@cairn/blocks'

setYoung(4 * 1024 * 1024) // as `cairn start` does, before the modules are loaded
const [{ serveNode }, { createNode, putLoopFirst }] = await Promise.all([
  import('@cairn/gateway'),
  import('@cairn/node')
])

const [home = '', join = '', config = '{}'] = process.argv.slice(2)
const {
  replicas = 3,
  capacity = 16 * 1024 ** 3,
  ...rest
} = JSON.parse(config) as {
  replicas?: number
  capacity?: number
}
const node = await createNode({
  home,
  capacity,
  // by default what a newcomer lacks is fetched by the get that is measured, not by repair beside it
  config: { repairDelayMs: 600_000, ...rest },
  ...(join === '' ? { create: { open: false, replicas } } : { join })
})
putLoopFirst()
const served = await serveNode(node, { port: 0, onStop: () => process.exit() })
node.announceHttp(served.url)
console.log(JSON.stringify({ url: served.url, token: node.token, invite: node.invite() }))
let profiled: { session: Session; path: string } | undefined
for await (const path of createInterface({ input: process.stdin })) {
  if (profiled !== undefined) {
    const { profile } = await profiled.session.post('Profiler.stop')
    profiled.session.disconnect()
    await writeFile(profiled.path, JSON.stringify(profile))
    profiled = undefined
  }
  if (path === '') continue
  profiled = { session: new Session(), path }
  profiled.session.connect()
  await profiled.session.post('Profiler.enable')
  await profiled.session.post('Profiler.start')
}
await served.close()
await node.stop()
process.exit()
