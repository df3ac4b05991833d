/** What QEMU guests need of the machine that they run on. */

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
