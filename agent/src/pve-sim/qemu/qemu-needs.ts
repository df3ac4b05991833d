/** What QEMU guests need of the machine that they run on. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** The programs that building and running guests needs, with the Debian packages that bring them. */
export const QEMU_NEEDS = [
  { program: 'qemu-system-x86_64', debianPackage: 'qemu-system-x86' },
  { program: 'qemu-img', debianPackage: 'qemu-utils' },
  { program: 'genisoimage', debianPackage: 'genisoimage' },
  { program: 'debootstrap', debianPackage: 'debootstrap' },
  { program: 'busybox', debianPackage: 'busybox-static' },
  { program: 'cpio', debianPackage: 'cpio' },
  { program: 'mkfs.ext4', debianPackage: 'e2fsprogs' },
  { program: 'depmod', debianPackage: 'kmod' },
] as const;

/** Where they are looked for. */
const FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Why there can be no QEMU guests here, with what to install; null where there can. */
export function whyNoQemu(): string | null {
  const missing = QEMU_NEEDS.filter(
    ({ program }) => !FOLDERS.some((folder) => existsSync(join(folder, program))),
  );
  if (missing.length === 0) return null;
  const names = missing.map(({ program }) => program).join(', ');
  return `${names} not found: apt-get install ${missing.map(({ debianPackage }) => debianPackage).join(' ')}`;
}
