/**
 * What a test leaves behind: processes, and the TCP ports on which they listen. A process belongs to a
 * test if it is in its process group or session, or has the test's own TMPDIR in its environment, which
 * a daemon keeps when it leaves both. Read from /proc; elsewhere `ps` shows the group alone.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export interface Owner {
  /** The leader of the test's process group and session. */
  pid: number
  /** The test's TMPDIR. */
  tmp: string
}

export interface Left {
  pid: number
  command: string
  /** `127.0.0.1:4001`, as the kernel shows them. */
  ports: string[]
}

/** Characters of a command line that a report shows. */
const COMMAND_CHARS = 160
/** TCP_LISTEN in the `st` column of /proc/net/tcp. */
const LISTENING = '0A'

/** The test's processes that still live, its own first among them if it does. */
export function processesOf(owner: Owner): Left[] {
  return process.platform === 'linux' ? fromProc(owner) : fromPs(owner)
}

export function describeLeft({ pid, command, ports }: Left): string {
  const listening = ports.length === 0 ? '' : `, listening on ${ports.join(', ')}`
  return `process ${pid} (${command})${listening}`
}

/** Network namespaces that have a name, which outlive the process that made them. */
export function networkNamespaces(): string[] {
  try {
    return readdirSync('/run/netns')
  } catch (error) {
    return absent(error, [])
  }
}

/** SIGKILL to each; one that has gone meanwhile is what was wanted. */
export function killAll(left: readonly Left[]): void {
  for (const { pid } of left) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

function fromProc(owner: Owner): Left[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && belongs(Number(name), owner))
    .map((name) => ({ pid: Number(name), command: commandOf(Number(name)), ports: portsOf(Number(name)) }))
}

function belongs(pid: number, owner: Owner): boolean {
  const stat = readProc(`${pid}/stat`)
  const [state, , group, session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (state === undefined || state === '' || state === 'Z' || state === 'X') return false
  if (Number(group) === owner.pid || Number(session) === owner.pid) return true
  const tmp = /(?:^|\0)TMPDIR=([^\0]*)/.exec(readProc(`${pid}/environ`))?.[1]
  return tmp === owner.tmp || tmp?.startsWith(`${owner.tmp}/`) === true // a test may make one below it
}

function commandOf(pid: number): string {
  return readProc(`${pid}/cmdline`).replaceAll('\0', ' ').trim().slice(0, COMMAND_CHARS)
}

function portsOf(pid: number): string[] {
  const inodes = new Set(socketsOf(pid))
  const lines = ['tcp', 'tcp6'].flatMap((table) => readProc(`${pid}/net/${table}`).split('\n').slice(1))
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[3] === LISTENING && inodes.has(columns[9] as string))
    .map((columns) => addressOf(columns[1] as string))
}

function socketsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`))?.[1]
      return inode === undefined ? [] : [inode]
    })
  } catch (error) {
    return absent(error, [])
  }
}

/** `0100007F:0FA1` is 127.0.0.1:4001; an IPv6 address is shown by its port alone. */
function addressOf(local: string): string {
  const [address = '', port = ''] = local.split(':')
  const bytes = address.match(/../g)?.map((byte) => Number.parseInt(byte, 16)) ?? []
  const host = bytes.length === 4 ? bytes.reverse().join('.') : '[ipv6]'
  return `${host}:${Number.parseInt(port, 16)}`
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch (error) {
    return absent(error, '')
  }
}

function readProc(name: string): string {
  try {
    return readFileSync(`/proc/${name}`, 'latin1')
  } catch (error) {
    return absent(error, '')
  }
}

/** A process ends while it is being looked at, or is another user's and so not a test's. */
function absent<T>(error: unknown, value: T): T {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'EINVAL'].includes(code)) return value
  throw error
}

function fromPs(owner: Owner): Left[] {
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,pgid=,stat=,command='], { encoding: 'utf8' })
  return stdout.split('\n').flatMap((line) => {
    const [, pid, group, state, command = ''] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? []
    if (Number(group) !== owner.pid || state?.startsWith('Z')) return []
    return [{ pid: Number(pid), command: command.slice(0, COMMAND_CHARS), ports: [] }]
  })
}
