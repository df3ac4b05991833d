/**
 * The lanes of `npm test`, in order: what each runs, and which programs of the system it needs.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';

/** A program of the system that a lane needs, and the Debian package that brings it. */
export interface Need {
  readonly program: string;
  readonly debianPackage: string;
}

/** One command of the check lane: its name in the output, and its arguments (first the program: of node_modules/.bin, or node). */
export interface Check {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
}

/** One lane: some commands that pass or fail as a whole, or a vitest project whose tests are counted. */
export type Lane = { readonly name: string; readonly needs: readonly Need[] } & (
  { readonly checks: readonly Check[] } | { readonly project: string }
);

const SSH: Need = { program: 'ssh', debianPackage: 'openssh-client' };
/** A client of Proxmox VE's API that is not ours, and what it speaks HTTP with: libraries, found beside the programs. */
const PROXMOXER: readonly Need[] = ['proxmoxer', 'requests'].map((name) => ({
  program: `../lib/python3/dist-packages/${name}`,
  debianPackage: `python3-${name}`,
}));
/** What builds and runs real virtual machines: as agent/src/pve-sim/qemu/qemu-needs.ts has it. */
const QEMU: readonly Need[] = [
  { program: 'qemu-system-x86_64', debianPackage: 'qemu-system-x86' },
  { program: 'qemu-img', debianPackage: 'qemu-utils' },
  { program: 'genisoimage', debianPackage: 'genisoimage' },
  { program: 'debootstrap', debianPackage: 'debootstrap' },
  { program: 'busybox', debianPackage: 'busybox-static' },
  { program: 'cpio', debianPackage: 'cpio' },
  { program: 'mkfs.ext4', debianPackage: 'e2fsprogs' },
  { program: 'depmod', debianPackage: 'kmod' },
];
/** What signs and checks the images of the tests of `setup proxmox`. */
const GNUPG: readonly Need[] = [
  { program: 'gpg', debianPackage: 'gpg' },
  { program: 'gpgconf', debianPackage: 'gpgconf' },
  { program: 'gpg-agent', debianPackage: 'gpg-agent' },
  { program: 'gpgv', debianPackage: 'gpgv' },
];
const CHROMIUM: Need = { program: 'chromium', debianPackage: 'chromium' };

/** Every lane, in the order in which they run: the quick ones first. */
export const LANES: readonly Lane[] = [
  {
    name: 'check',
    needs: [],
    checks: [
      { name: 'format', command: ['prettier', '--check', '--log-level=warn', '.'] },
      { name: 'types', command: ['tsc', '-b'] },
      { name: 'lint', command: ['eslint', '--max-warnings=0', '.'] },
      { name: 'docs', command: ['node', 'scripts/generate-docs.ts', '--check'] },
      { name: 'unused', command: ['knip', '--no-progress'] },
    ],
  },
  { name: 'unit', needs: [SSH, ...GNUPG], project: 'unit' },
  { name: 'e2e', needs: [SSH], project: 'e2e' },
  { name: 'machines', needs: [SSH, ...PROXMOXER, ...QEMU], project: 'machines' },
  { name: 'browser', needs: [SSH, CHROMIUM], project: 'browser' },
];

/** The needs that this machine does not meet. */
export function missingNeeds(needs: readonly Need[], searchPath: string): Need[] {
  const folders = searchPath.split(path.delimiter).filter((folder) => folder !== '');
  return needs.filter(({ program }) => !folders.some((folder) => existsSync(path.join(folder, program))));
}
