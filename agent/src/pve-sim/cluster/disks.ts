/**
 * Drives as a VM's configuration writes them (`local-lvm:vm-101-disk-0,size=8G,ssd=1`), volume names as each kind
 * of storage makes them, and sizes. Pure.
 */

/** Keys of a configuration that hold a drive. */
export const DRIVE_KEY = /^(?:scsi\d+|virtio\d+|sata\d+|ide\d+|efidisk0|tpmstate0|unused\d+)$/;

/** A drive: its volume, and its options in their order. */
export interface Drive {
  /** `storage:name`, `none`, `cdrom`, or a path. */
  readonly volume: string;
  readonly options: ReadonlyMap<string, string>;
}

/** Reads a drive. `file=` before the volume may be there or not, as in Proxmox VE. */
export function parseDrive(text: string): Drive {
  const options = new Map<string, string>();
  let volume = '';
  for (const part of text.split(',')) {
    const at = part.indexOf('=');
    if (at < 0) volume = part;
    else if (part.slice(0, at) === 'file') volume = part.slice(at + 1);
    else options.set(part.slice(0, at), part.slice(at + 1));
  }
  return { volume, options };
}

/** Writes a drive. */
export function formatDrive({ volume, options }: Drive): string {
  return [volume, ...[...options].map(([key, value]) => `${key}=${value}`)].join(',');
}

/** Whether a drive is the one with the cloud-init data. */
export function isCloudInitDrive(drive: Drive): boolean {
  return /[:/-]cloudinit(?:\.\w+)?$/.test(drive.volume) || /:cloudinit$/.test(drive.volume);
}

/** Whether a drive is a CD-ROM of any kind, the one with the cloud-init data too. */
export function isCdrom(drive: Drive): boolean {
  return drive.options.get('media') === 'cdrom' || isCloudInitDrive(drive);
}

/** The storage of a volume; null for `none`, `cdrom` and paths. */
export function storageOf(volume: string): string | null {
  const match = /^([A-Za-z][A-Za-z0-9._-]*):/.exec(volume);
  return match?.[1] ?? null;
}

/** Bytes of `8G`, `512M`, `2252M`, `1T` or a plain number; null where the text is no size. */
export function parseSize(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)([KMGT])?$/.exec(text);
  if (match === null) return null;
  const power = ['', 'K', 'M', 'G', 'T'].indexOf(match[2] ?? '');
  return Math.round(Number(match[1]) * 1024 ** power);
}

/** The shortest writing of a size that is exact, as Proxmox VE writes it. */
export function formatSize(bytes: number): string {
  for (const [unit, power] of [
    ['T', 4],
    ['G', 3],
    ['M', 2],
    ['K', 1],
  ] as const) {
    if (bytes >= 1024 ** power && bytes % 1024 ** power === 0) return `${bytes / 1024 ** power}${unit}`;
  }
  return String(bytes);
}
