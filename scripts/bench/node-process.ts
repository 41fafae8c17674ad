/** A node of its own process for benchmarks: says where it is in one line, and ends when its stdin does. */
import { setYoung } from '@cairn/blocks'

setYoung(4 * 1024 * 1024) // as `cairn start` does, before the modules are loaded
const [{ serveNode }, { createNode, putLoopFirst }] = await Promise.all([
  import('@cairn/gateway'),
  import('@cairn/node')
])

const [home = '', join = '', repairDelayMs = '600000', probeMs = '1000'] = process.argv.slice(2)
const node = await createNode({
  home,
  capacity: 16 * 1024 ** 3,
  // by default what a newcomer lacks is fetched by the get that is measured, not by repair beside it
  config: {
    repairDelayMs: Number(repairDelayMs),
    probeIntervalMs: Number(probeMs),
    probeTimeoutMs: 0.4 * Number(probeMs)
  },
  ...(join === '' ? { create: { open: false, replicas: 3 } } : { join })
})
putLoopFirst()
const served = await serveNode(node, { port: 0, onStop: () => process.exit() })
console.log(JSON.stringify({ url: served.url, token: node.token, invite: node.invite() }))
process.stdin.resume().once('end', async () => {
  await served.close()
  await node.stop()
  process.exit()
})
