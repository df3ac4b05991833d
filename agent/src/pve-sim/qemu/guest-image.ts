/** The image that QEMU guests start from: built once by the script beside it, kept under the digest of what it is built by. */
import { createHash } from 'node:crypto';
import { access, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@dc/shared/clock';
import { runCommand } from '../../lib/run-command.ts';

const BUILD_MS_MAX = 9 * 60_000; // 30 s on two idle cores; packages come over the network.
const LOG_BYTES_MAX = 1024 ** 2;
const SCRIPTS = ['build-guest-image.sh', 'guest-init', 'initramfs-init'];
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The files of an image. */
export interface GuestImage {
  readonly kernel: string;
  readonly initramfs: string;
  readonly disk: string;
}

/** The image, from `cacheFolder` or newly built there. Needs root to build. Throws with the end of the build's log. */
export async function ensureGuestImage(
  cacheFolder: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<GuestImage> {
  const scripts = join(import.meta.dirname, 'image');
  const hash = createHash('sha256');
  for (const name of SCRIPTS) hash.update(await readFile(join(scripts, name)));
  const folder = join(cacheFolder, `guest-image-${hash.digest('hex').slice(0, 12)}`);
  const image = {
    kernel: join(folder, 'vmlinuz'),
    initramfs: join(folder, 'initramfs'),
    disk: join(folder, 'disk.qcow2'),
  };
  if (await exists(image.disk)) return image;
  const building = `${folder}.${process.pid}`;
  await mkdir(cacheFolder, { recursive: true });
  const args = [join(scripts, SCRIPTS[0] ?? ''), building];
  const limits = { timeoutMs: BUILD_MS_MAX, outputBytesMax: LOG_BYTES_MAX };
  const result = await runCommand(
    { file: '/bin/bash', args, env: { PATH, LC_ALL: 'C.UTF-8', HOME: '/' } },
    limits,
    clock,
    signal,
  );
  if (result.exitCode !== 0) {
    await rm(building, { recursive: true, force: true });
    throw new Error(`The guest image could not be built: ${result.stderr.slice(-2_000)}`);
  }
  // Somebody else may have built it meanwhile: one of the two is enough.
  await rename(building, folder).catch(() => rm(building, { recursive: true, force: true }));
  return image;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
