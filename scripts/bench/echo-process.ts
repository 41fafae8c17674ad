/**
 * The least that a round trip between two processes takes beside whatever else the machine does: without
 * arguments answers each byte on a port that it says; with a port asks there until that ends, then says the
 * times in milliseconds.
 */
import { connect, createServer } from 'node:net'

const EVERY_MS = 20
const [port] = process.argv.slice(2)

if (port === undefined) {
  const server = createServer((socket) => socket.setNoDelay().pipe(socket)).listen(0, '127.0.0.1', () =>
    console.log(JSON.stringify(server.address()))
  )
  process.stdin.resume().once('end', () => process.exit())
} else {
  const times: number[] = []
  let sentMs: number | undefined
  const socket = connect(Number(port), '127.0.0.1').setNoDelay()
  const timer = setInterval(() => {
    if (sentMs !== undefined) return
    sentMs = performance.now()
    socket.write('.')
  }, EVERY_MS)
  socket.on('data', () => {
    times.push(performance.now() - (sentMs as number))
    sentMs = undefined
  })
  socket.on('error', () => {}) // the other ended first, as it is to
  socket.once('close', () => {
    clearInterval(timer)
    console.log(JSON.stringify({ times }))
    process.stdin.destroy()
  })
}
