/** Decides which template a VM is cloned from, and on which node it is to be. PURE. */
import { AppError } from '@dc/shared/errors';
import type { InstanceSpec } from '../provisioner.ts';
import type { ProxmoxSettings } from './proxmox-options.ts';
import type { PveResource, PveResources, PveVm, VmConfig } from './pve-cluster.ts';
import { missingPrivilege } from './translate-refusal.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** A template and the node for its clone. */
export interface Placement {
  readonly template: PveVm;
  readonly node: string;
}

/**
 * The places to build, the best first: on the node of a template before another node, where there is most memory left
 * before where there is less. From a template whose disks are on shared storages (`shared`: their VMIDs) other nodes build
 * too, those without one of their own, after the others. Throws PROVISIONER_SPEC_UNSUPPORTED where no node has the template,
 * PROVISIONER_UNAVAILABLE where those that have it do not answer, PROVISIONER_EXHAUSTED where none has the memory.
 */
export function placesFor(
  spec: Pick<InstanceSpec, 'operatingSystem' | 'memoryMb'>,
  resources: PveResources,
  settings: ProxmoxSettings,
  shared: ReadonlySet<number> = new Set(),
): Placement[] {
  const name = settings.templateOf(spec.operatingSystem);
  const named = resources.templates.filter((each) => each.name === name && isAllowed(each.node, settings));
  if (named.length === 0) throw noTemplate(name, resources, settings);
  const online = named.filter(({ node }) => nodeOf(node, resources)?.status === 'online');
  if (online.length === 0)
    throw new AppError('PROVISIONER_UNAVAILABLE', 'The nodes with the template do not answer.');
  const silent = online.find(({ node }) => nodeOf(node, resources)?.maxmem === undefined);
  if (silent !== undefined) throw missingPrivilege(`/nodes/${silent.node}`, 'Sys.Audit');
  const ranked = online
    .map((template) => ({
      template,
      node: template.node,
      freeMb: freeMemoryMb(template.node, resources, settings),
    }))
    .sort((one, other) => other.freeMb - one.freeMb);
  const elsewhere = shareable(online, shared, resources, settings).sort(
    (one, other) => other.freeMb - one.freeMb,
  );
  const fitting = [...ranked, ...elsewhere].filter(({ freeMb }) => freeMb >= spec.memoryMb);
  if (fitting.length === 0)
    throw new AppError('PROVISIONER_EXHAUSTED', 'No node with the template has the memory left.');
  return fitting.map(({ template, node }) => ({ template, node }));
}

/** Nodes without a template of their own, with one from elsewhere. */
function shareable(
  templates: readonly PveVm[],
  shared: ReadonlySet<number>,
  resources: PveResources,
  settings: ProxmoxSettings,
): (Placement & { readonly freeMb: number })[] {
  const template = templates.find(({ vmid }) => shared.has(vmid));
  if (template === undefined) return [];
  const own = new Set(templates.map(({ node }) => node));
  const others = resources.nodes.flatMap(({ node, status, maxmem }) =>
    node !== undefined &&
    status === 'online' &&
    maxmem !== undefined &&
    !own.has(node) &&
    isAllowed(node, settings)
      ? [node]
      : [],
  );
  return others.map((node) => ({ template, node, freeMb: freeMemoryMb(node, resources, settings) }));
}

/** Whether every disk of a configuration is on a storage that all nodes have. */
export function isOnSharedStorage(config: VmConfig, { storages }: PveResources): boolean {
  const disks = Object.entries(config).filter(([key]) =>
    /^(?:scsi|virtio|sata|ide|efidisk|tpmstate)\d+$/.test(key),
  );
  const names = disks.map(([, text]) => text.split(':')[0] ?? '');
  const isShared = (name: string): boolean =>
    storages.some(({ storage, shared }) => storage === name && shared === 1);
  return names.length > 0 && names.every(isShared);
}

/** Memory that no guest was promised, less the reserve. 0 where the node does not say what it has. */
export function freeMemoryMb(node: string, { nodes, vms }: PveResources, settings: ProxmoxSettings): number {
  const all = nodes.find((each) => each.node === node)?.maxmem ?? 0;
  const promised = vms.filter((vm) => vm.node === node).reduce((sum, vm) => sum + (vm.maxmem ?? 0), 0);
  return Math.max(0, Math.floor((all - promised) / MIB) - settings.capacity.memoryReserveMb);
}

/** A template's boot disk: its setting, its storage, and its size. */
export interface BootDisk {
  readonly key: string;
  readonly storage: string;
  readonly sizeGb: number;
}

/**
 * The boot disk of a configuration. Throws PROVISIONER_SPEC_UNSUPPORTED where there is none, or no cloud-init drive, or
 * where it is larger than what was ordered: disks do not shrink.
 */
export function checkTemplate(config: VmConfig, spec: Pick<InstanceSpec, 'diskGb'>): BootDisk {
  const unfit = (detail: string, remedy: string): AppError =>
    new AppError('PROVISIONER_SPEC_UNSUPPORTED', detail, { remedy });
  const disk = bootDiskOf(config);
  if (disk === null) throw unfit('The template has no boot disk.', 'Build it anew: dc-agent setup proxmox.');
  if (disk.sizeGb > spec.diskGb)
    throw unfit(
      `The template's disk has ${disk.sizeGb} GB, more than the ${spec.diskGb} GB that were ordered.`,
      'Offer more disk, or build the template with a smaller one.',
    );
  if (!hasCloudInitDrive(config))
    throw unfit(
      'The template has no cloud-init drive.',
      'Give it one: qm set VMID --ide2 STORAGE:cloudinit.',
    );
  if (macless(config))
    throw unfit(
      'The template has no network card net0.',
      'Give it one: qm set VMID --net0 virtio,bridge=BRIDGE.',
    );
  return disk;
}

/** The disk that a VM boots from; null where the configuration names none. */
export function bootDiskOf(config: VmConfig): BootDisk | null {
  const order = /order=([^,]+)/.exec(config['boot'] ?? '')?.[1]?.split(';') ?? [];
  const keys = [...order, config['bootdisk'] ?? '', 'scsi0', 'virtio0', 'sata0', 'ide0'];
  for (const key of keys) {
    const text = config[key];
    if (text === undefined || !/^(?:scsi|virtio|sata|ide)\d+$/.test(key) || /media=cdrom/.test(text))
      continue;
    const storage = text.split(':')[0] ?? '';
    return { key, storage, sizeGb: sizeGb(/(?:^|,)size=(\d+(?:\.\d+)?[KMGT]?)/.exec(text)?.[1] ?? '0') };
  }
  return null;
}

/** Whether cloud-init has a drive to read its seed from. */
export const hasCloudInitDrive = (config: VmConfig): boolean =>
  Object.entries(config).some(
    ([key, text]) => /^(?:scsi|virtio|sata|ide)\d+$/.test(key) && /cloudinit/.test(text),
  );

const macless = (config: VmConfig): boolean => config['net0'] === undefined;

function sizeGb(text: string): number {
  const factor = { K: 1024, M: MIB, G: GIB, T: 1024 * GIB }[text.at(-1) ?? ''] ?? 1;
  return (Number.parseFloat(text) * factor) / GIB;
}

const isAllowed = (node: string, { nodes }: ProxmoxSettings): boolean => nodes?.includes(node) ?? true;

const nodeOf = (name: string, { nodes }: PveResources): PveResource | undefined =>
  nodes.find(({ node }) => node === name);

function noTemplate(name: string, { vms, nodes }: PveResources, settings: ProxmoxSettings): AppError {
  const unknown = (settings.nodes ?? []).filter((node) => !nodes.some((each) => each.node === node));
  if (unknown.length > 0)
    return new AppError('PROVISIONER_SPEC_UNSUPPORTED', `The cluster has no node ${unknown.join(', ')}.`, {
      remedy: 'Write the names in the setting nodes as pvecm nodes shows them, without a domain.',
    });
  const isPlainVm = vms.some((vm) => vm.name === name);
  return new AppError(
    'PROVISIONER_SPEC_UNSUPPORTED',
    isPlainVm ? `The VM ${name} is no template.` : `No node has a template ${name} that the token can see.`,
    {
      remedy: isPlainVm
        ? 'Make it one: qm template VMID.'
        : 'Build it with dc-agent setup proxmox, or name another in the setting templates; the token needs VM.Audit on it.',
    },
  );
}
