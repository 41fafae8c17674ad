/**
 * What the parts of a transfer cost by themselves, for as many MiB: a hash on one core, one way over TCP
 * and over TLS within one process, a write that is synced. The machine's own speed differs from day to
 * day: a figure says something only beside these of the same run.
 */
import { hash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { open, rm } from 'node:fs/promises'
import {
  type AddressInfo,
  connect as connectTcp,
  createServer as createTcpServer,
  type Socket
} from 'node:net'
import { connect, createServer } from 'node:tls'
import { MIB } from './inputs.ts'

/** Between two syncs of the write: a group of a node's disk under load. */
const GROUP_MIB = 16

export const LIMITS = ['SHA-256', 'socket', 'node:tls', 'synced write'] as const

/** Writes, and removes, one file at `path`. */
export async function measureLimits(path: string, mib: number) {
  const block = randomBytes(MIB)
  const acts: Record<(typeof LIMITS)[number], () => Promise<void>> = {
    'SHA-256': async () => {
      for (let i = 0; i < mib; i++) hash('sha256', block, 'buffer')
    },
    socket: () => throughTcp(block, mib),
    'node:tls': () => throughTls(block, mib),
    'synced write': () => writeSynced(path, block, mib)
  }
  const measured = []
  for (const name of LIMITS) {
    const [startedMs, before] = [performance.now(), process.cpuUsage()]
    await acts[name]()
    const { user, system } = process.cpuUsage(before)
    const seconds = (performance.now() - startedMs) / 1000
    measured.push({ name, seconds, cpuSeconds: (user + system) / 1e6 })
  }
  await rm(path)
  return measured
}

async function writeSynced(path: string, block: Uint8Array, mib: number): Promise<void> {
  const file = await open(path, 'w')
  for (let i = 1; i <= mib; i++) {
    await file.write(block)
    if (i % GROUP_MIB === 0 || i === mib) await file.datasync()
  }
  await file.close()
}

async function throughTcp(block: Uint8Array, mib: number): Promise<void> {
  const server = createTcpServer((socket) => void sendAll(socket, block, mib)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await once(connectTcp({ host: '127.0.0.1', port }).resume(), 'close')
  server.close()
}

async function sendAll(socket: Socket, block: Uint8Array, mib: number): Promise<void> {
  for (let i = 0; i < mib; i++) if (!socket.write(block)) await once(socket, 'drain')
  socket.end()
}

async function throughTls(block: Uint8Array, mib: number): Promise<void> {
  const key = randomBytes(32)
  const options = { minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256' } as const
  const server = createServer({ ...options, pskCallback: () => key }, (socket) => {
    void sendAll(socket, block, mib)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const pskCallback = () => ({ psk: key, identity: 'bench' })
  const socket = connect({ ...options, host: '127.0.0.1', port, pskCallback }).resume()
  await once(socket, 'close')
  server.close()
}
