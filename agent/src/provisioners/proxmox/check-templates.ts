/** The checks of what VMs are made from and put on: templates, storages, bridges. */
import { Type } from 'typebox';
import Value from 'typebox/value';
import { AppError, isAppError } from '@dc/shared/errors';
import type { Check, Finding } from '../../lib/check.ts';
import type { Offer } from '../registry.ts';
import { NOT_LOOKED } from './check-cluster.ts';
import { bridgeOf, storageOf, unique, type DiagnosisParts, type SeenTemplate } from './diagnosis-parts.ts';
import { checkTemplate, placesFor } from './place-vm.ts';
import { pvePath } from './pve-path.ts';

const GIB = 1024 ** 3;
const BridgesSchema = Type.Array(Type.Object({ iface: Type.String() }));

export function templateChecks(parts: DiagnosisParts): Check[] {
  return [
    { name: 'proxmox templates', run: () => checkTemplates(parts) },
    { name: 'proxmox storage', run: async () => checkStorages(parts) },
    { name: 'proxmox bridges', run: () => checkBridges(parts) },
  ];
}

/** Every operating system that is sold has a template that fits every offering of it. */
async function checkTemplates(parts: DiagnosisParts): Promise<Finding> {
  const { cluster, seen, settings, offers, signal } = parts;
  const { resources } = seen;
  if (resources === null) return NOT_LOOKED;
  const sold = (offers ?? []).flatMap((offer) => offer.operatingSystems);
  const names = new Set(sold.map((each) => settings.templateOf(each)));
  const wanted = resources.templates.filter(({ name = '' }) => offers === null || names.has(name));
  for (const vm of wanted)
    seen.templates.push({ vm, config: await cluster.config(vm.node, vm.vmid, signal) });
  const problems: string[] = [];
  for (const offer of offers ?? [])
    for (const operatingSystem of offer.operatingSystems)
      problems.push(...problemsOf(parts, offer, operatingSystem));
  if (problems.length > 0)
    throw new AppError('PROVISIONER_SPEC_UNSUPPORTED', problems.join('\n'), {
      remedy:
        'Build what is missing with dc-agent setup proxmox, or change the offering or the setting templates.',
    });
  if (wanted.length === 0)
    throw new AppError('PROVISIONER_SPEC_UNSUPPORTED', 'The token sees no template to clone.', {
      remedy: 'Build one with dc-agent setup proxmox; the token needs VM.Audit and VM.Clone on it.',
    });
  const told: string[] = [];
  for (const { vm } of seen.templates)
    told.push(`${vm.name ?? vm.vmid} (${vm.vmid}, ${vm.node}, ${await cloneOf(parts, vm)})`);
  const list = `${told.join(', ')}.`;
  const silent = seen.templates.filter(({ config }) => !/^(?:1|enabled=1)/.test(config['agent'] ?? ''));
  if (offers === null)
    return { severity: 'warning', detail: `${list} What is sold is not known: the coordinator did not say.` };
  if (silent.length === 0) return list;
  return {
    severity: 'warning',
    detail: `${list} The guest agent is not switched on in ${silent.map(({ vm }) => vm.vmid).join(', ')}; clones get it switched on.`,
    remedy: `Switch it on, once it is installed inside: qm set ${silent[0]?.vm.vmid ?? 'VMID'} --agent 1.`,
  };
}

const cloneOf = async (
  { cluster, settings, signal }: DiagnosisParts,
  vm: SeenTemplate['vm'],
): Promise<string> =>
  !settings.fullOnly && (await cluster.canLink(vm, signal)) ? 'linked clones' : 'full clones';

/** What keeps an offering from being made with an operating system. */
function problemsOf({ seen, settings }: DiagnosisParts, offer: Offer, operatingSystem: string): string[] {
  if (seen.resources === null) return [];
  const name = settings.templateOf(operatingSystem);
  const told = (detail: string): string => `${offer.title}, ${operatingSystem}: ${detail}`;
  try {
    placesFor({ operatingSystem, memoryMb: 0 }, seen.resources, settings);
  } catch (error) {
    if (!isAppError(error)) throw error;
    return [told(`${error.message} ${error.remedy}`)];
  }
  return seen.templates
    .filter(({ vm }) => vm.name === name)
    .flatMap(({ vm, config }) => {
      try {
        checkTemplate(config, offer);
        return [];
      } catch (error) {
        if (!isAppError(error)) throw error;
        return [told(`${vm.vmid} on ${vm.node}: ${error.message} ${error.remedy}`)];
      }
    });
}

/** Every storage that disks go to is there, takes disks, and has room for the largest offering beyond the reserve. */
function checkStorages({ seen, settings, offers }: DiagnosisParts): Finding {
  if (seen.resources === null || seen.templates.length === 0) return NOT_LOOKED;
  const lines = seen.resources.storages;
  const largestGb = Math.max(0, ...(offers ?? []).map(({ diskGb }) => diskGb));
  const told: string[] = [];
  const tight: string[] = [];
  for (const name of unique(seen.templates.map((each) => storageOf(each, settings)))) {
    const own = lines.filter(({ storage }) => storage === name);
    if (own.length === 0)
      throw new AppError('PROVISIONER_FAILED', `The token sees no storage ${name}.`, {
        remedy: `If pvesm status shows it, the token lacks Datastore.Audit on /storage/${name}; else correct the setting storage.`,
      });
    for (const { node = '', status, content = 'images', maxdisk = 0, disk = 0 } of own) {
      const place = `${name} on ${node}`;
      if (status !== 'available') tight.push(`${place} is ${status ?? 'not there'}`);
      else if (!content.includes('images')) tight.push(`${place} takes no disks of VMs`);
      const reserved = maxdisk * settings.capacity.diskReserveShare;
      const freeGb = Math.max(0, Math.floor((maxdisk - reserved - disk) / GIB));
      told.push(`${place}: ${freeGb} GB to sell`);
      if (status === 'available' && freeGb < Math.max(1, largestGb))
        tight.push(`${place} has ${freeGb} GB beyond its reserve`);
    }
  }
  if (tight.length === 0) return `${told.join(', ')}.`;
  return {
    severity: 'warning',
    detail: `${tight.join(', ')}.`,
    remedy: 'Free space, add a disk, or lower capacity.disk_reserve_percent; see pvesm status.',
  };
}

/** The bridge of net0 is on every node that builds. */
async function checkBridges({ cluster, seen, settings, signal }: DiagnosisParts): Promise<Finding> {
  if (seen.templates.length === 0) return NOT_LOOKED;
  const told = new Set<string>();
  for (const template of seen.templates) {
    const { node } = template.vm;
    const bridge = bridgeOf(template, settings);
    if (bridge === null) continue;
    const answer = await cluster.client.get(pvePath`/nodes/${node}/network`, signal, { type: 'any_bridge' });
    const names = Value.Check(BridgesSchema, answer) ? answer.map(({ iface }) => iface) : [];
    if (!names.includes(bridge))
      throw new AppError('PROVISIONER_FAILED', `The token sees no bridge ${bridge} on ${node}.`, {
        remedy: `It sees ${names.join(', ') || 'none'}. Correct the setting bridge, or give the token SDN.Use on /sdn/zones/localnetwork/${bridge}.`,
      });
    told.add(`${bridge} on ${node}`);
  }
  return `${[...told].join(', ')}.`;
}
