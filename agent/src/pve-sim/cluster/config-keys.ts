/** Which privilege each setting of a VM needs, and which settings wait for the next start. Pure. */
import { DRIVE_KEY, isCdrom, parseDrive } from './disks.ts';

const HARDWARE = new Set([
  'acpi',
  'hotplug',
  'kvm',
  'machine',
  'scsihw',
  'smbios1',
  'tablet',
  'vga',
  'watchdog',
  'audio0',
  'arch',
  'bios',
  'vmgenid',
  'vmstatestorage',
  'hugepages',
  'numa',
  'keephugepages',
  'rng0',
  'keyboard',
  'spice_enhancements',
  'ivshmem',
  'amd-sev',
  'intel-tdx',
]);
const CPU = new Set(['affinity', 'cores', 'cpu', 'cpulimit', 'cpuunits', 'sockets', 'vcpus']);
const MEMORY = new Set(['memory', 'balloon', 'shares', 'allow-ksm']);
const CLOUD_INIT = new Set([
  'cicustom',
  'cipassword',
  'citype',
  'ciupgrade',
  'ciuser',
  'nameserver',
  'searchdomain',
  'sshkeys',
]);
const DISK_OPTIONS = new Set(['boot', 'bootdisk', 'vmstatestorage']);
/** Take effect at once on a running VM, whatever it is doing. */
const AT_ONCE = new Set([
  'name',
  'description',
  'tags',
  'onboot',
  'startup',
  'protection',
  'hotplug',
  'hookscript',
  'shares',
  'lock',
  'balloon',
  'startdate',
]);

/** Every setting that a VM can have; `[n]` stands for a number. */
export const CONFIG_KEYS: ReadonlySet<string> = new Set([
  ...HARDWARE,
  ...CPU,
  ...MEMORY,
  ...CLOUD_INIT,
  ...DISK_OPTIONS,
  ...AT_ONCE,
  ...[
    'agent',
    'args',
    'autostart',
    'localtime',
    'ostype',
    'reboot',
    'tdf',
    'freeze',
    'template',
    'migrate_downtime',
    'migrate_speed',
    'efidisk0',
    'tpmstate0',
  ],
  ...[
    'net[n]',
    'ipconfig[n]',
    'scsi[n]',
    'virtio[n]',
    'ide[n]',
    'sata[n]',
    'serial[n]',
    'parallel[n]',
    'unused[n]',
    'usb[n]',
    'hostpci[n]',
    'numa[n]',
    'virtiofs[n]',
  ],
]);

/** Whether a key is one of cloud-init's: what its drive is made from. */
export function isCloudInitKey(key: string): boolean {
  return CLOUD_INIT.has(key) || /^ipconfig\d+$/.test(key);
}

/** The privileges of which one is needed to set or remove a key; `root` where nobody else may. */
export function privilegesFor(key: string, value: string): readonly string[] | 'root' {
  if (key === 'args' || key === 'lock' || key === 'hookscript' || /^hostpci\d+$/.test(key)) return 'root';
  if (key === 'freeze') return ['VM.PowerMgmt'];
  if (CPU.has(key) || /^numa\d+$/.test(key)) return ['VM.Config.CPU'];
  if (MEMORY.has(key)) return ['VM.Config.Memory'];
  if (isCloudInitKey(key)) return ['VM.Config.Cloudinit', 'VM.Config.Network'];
  if (/^net\d+$/.test(key)) return ['VM.Config.Network'];
  if (DRIVE_KEY.test(key))
    return isCdrom(parseDrive(value)) || value === 'none' ? ['VM.Config.CDROM'] : ['VM.Config.Disk'];
  if (DISK_OPTIONS.has(key)) return ['VM.Config.Disk'];
  if (HARDWARE.has(key) || /^(serial|parallel|usb)\d+$/.test(key)) return ['VM.Config.HWType'];
  return ['VM.Config.Options'];
}

/** Whether a change waits for the next start while the VM runs. */
export function waitsForStart(key: string): boolean {
  return !AT_ONCE.has(key) && !isCloudInitKey(key) && !DRIVE_KEY.test(key) && !/^net\d+$/.test(key);
}
