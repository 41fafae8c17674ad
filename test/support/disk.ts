/**
 * A disk whose power can fail: ext4 on a loop device, shut down without flushing its log, mounted again.
 * What had not reached the disk by then never does.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Of the file system: the store's capacity, its journal, and room. */
const DISK_BYTES = 128 * 1024 * 1024
/** EXT4_IOC_SHUTDOWN, and EXT4_GOING_FLAGS_NOLOGFLUSH: what is not on the disk yet never gets there. */
const SHUTDOWN = 'my $f = pack("L", 2); open(F, "<", $ARGV[0]) or die; ioctl(F, 0x8004587d, $f) or die "$!"'

/** Set in the process that has its mounts to itself. */
const OWN_MOUNTS = 'CAIRN_TEST_OWN_MOUNTS'

/** A file system of its own, whose power can fail. */
export class Disk {
  readonly path: string
  readonly #image: string

  constructor(directory: string, bytes: number) {
    this.path = join(directory, 'mnt')
    this.#image = join(directory, 'disk.img')
    mkdirSync(this.path)
    run('truncate', '-s', String(bytes), this.#image)
    run('mkfs.ext4', '-q', '-F', this.#image)
    this.mount()
  }

  mount(): void {
    // its own commit every five seconds would save what nobody synced
    run('mount', '-o', 'loop,commit=600', this.#image, this.path)
  }

  cut(): void {
    run('perl', '-e', SHUTDOWN, this.path)
  }

  unmount(): void {
    run('umount', this.path)
  }

  /** Unmounts however many times and files it takes; for the end of a test. */
  drop(): void {
    try {
      run('umount', '-l', this.path)
    } catch {
      // not mounted: the test failed between two mounts
    }
  }
}

export function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

/** Does the work on a disk, nothing of which is left. */
export async function onDisk(work: (disk: Disk) => Promise<void>, bytes = DISK_BYTES): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'cairn-power-'))
  const disk = new Disk(directory, bytes)
  try {
    await work(disk)
  } finally {
    disk.drop()
    await rm(directory, { recursive: true })
  }
}

export function canMount(): boolean {
  try {
    run('unshare', '-m', 'true')
    run(
      'sh',
      '-c',
      'for tool in mkfs.ext4 perl strace; do command -v $tool || exit 1; done; ' +
        'test -e /dev/loop-control && test "$(id -u)" = 0'
    )
    return true
  } catch {
    return false
  }
}

/**
 * Runs the test's file again with mounts of its own, and ends this process with how that ended: where mounts
 * are shared, another process's namespace may keep the file system that was shut down.
 */
export function ownMounts(testUrl: string): void {
  if (!canMount() || process.env[OWN_MOUNTS] !== undefined) return
  const script = [fileURLToPath(testUrl), ...process.argv.slice(2)]
  const again = [process.execPath, ...process.execArgv, ...script]
  const env = { ...process.env, [OWN_MOUNTS]: 'yes' }
  process.exit(spawnSync('unshare', ['-m', ...again], { stdio: 'inherit', env }).status ?? 1)
}
