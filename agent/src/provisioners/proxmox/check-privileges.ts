/** The checks of the API token: every privilege used on a probe VM, and what is missing with the commands that give it. */
import { AppError } from '@dc/shared/errors';
import type { Check, Finding } from '../../lib/check.ts';
import { NOT_LOOKED } from './check-cluster.ts';
import { bridgeOf, storageOf, unique, type DiagnosisParts } from './diagnosis-parts.ts';
import { commandsFor, findMissing, type Denial } from './missing-privileges.ts';
import { privilegeNeeds, type PrivilegeNeed } from './privileges.ts';
import { poolPathOf, probeByUse, removeLeftovers } from './probe-vm.ts';
import type { Permissions } from './pve-cluster.ts';
import { translateRefusal } from './translate-refusal.ts';

const ZONE = '/sdn/zones/localnetwork/';

/** `mayProbe`: a VM is made and destroyed. Without it the token's permissions are only read. */
export function privilegeChecks(parts: DiagnosisParts, mayProbe: boolean): Check[] {
  const denials: Denial[] = [];
  return [
    ...(mayProbe ? [{ name: 'proxmox probe', run: () => checkByUse(parts, denials) }] : []),
    { name: 'proxmox privileges', run: () => checkPrivileges(parts, { denials, mayProbe }) },
  ];
}

async function checkByUse(parts: DiagnosisParts, denials: Denial[]): Promise<Finding> {
  const { seen, signal } = parts;
  if (seen.resources === null) return NOT_LOOKED;
  const template = seen.templates.find(({ vm }) =>
    seen.resources?.nodes.some(({ node, status }) => node === vm.node && status === 'online'),
  );
  if (template === undefined)
    return { severity: 'skipped', detail: 'Not tried: there is no template to make a VM from.' };
  try {
    const removed = await removeLeftovers(parts);
    denials.push(...(await probeByUse(parts, template)));
    const old = removed === 0 ? '' : ` ${removed} of an earlier doctor were still there, and are gone too.`;
    if (signal.aborted)
      return { severity: 'skipped', detail: `It was interrupted; the probe VM is gone again.${old}` };
    if (denials.length === 0)
      return `A VM was cloned, configured, started and destroyed; nothing of it is left.${old}`;
    const what = denials.map(({ path, privileges }) => `${privileges.join(' or ')} on ${path}`);
    return { severity: 'skipped', detail: `Refused: ${what.join(', ')}. Nothing of the VM is left.${old}` };
  } catch (error) {
    throw translateRefusal(error);
  }
}

async function checkPrivileges(
  parts: DiagnosisParts,
  { denials, mayProbe }: { denials: readonly Denial[]; mayProbe: boolean },
): Promise<Finding> {
  const { cluster, signal, tokenId, seen } = parts;
  if (seen.major === null) return NOT_LOOKED;
  const all = await cluster.permissions(signal);
  const needs = needsOf(parts, all);
  const has = new Map<string, ReadonlySet<string>>();
  for (const { path } of needs)
    has.set(path, new Set(Object.keys((await cluster.permissions(signal, path))[path] ?? {})));
  const missing = findMissing(needs, has, denials);
  const sees = needs.some(({ purpose }) => purpose === 'Template');
  if (missing.length === 0 && sees) {
    const paths = needs.map(({ path }) => path).join(', ');
    return `The token may do all that it must, on ${paths}${mayProbe ? '' : ' (read, not tried)'}.`;
  }
  const roles = await cluster.roles(signal);
  const lines = missing.flatMap((each) => commandsFor(each, tokenId, roles));
  const lacks = missing.map(({ need, privileges }) => `${privileges.join(', ')} on ${need.path}`);
  if (!sees) {
    lacks.push('VM.Audit, VM.Clone on every template');
    const role = commandsFor(
      {
        need: { purpose: 'Template', path: '/vms/VMID', privileges: ['VM.Audit', 'VM.Clone'] },
        privileges: ['VM.Audit', 'VM.Clone'],
      },
      tokenId,
      roles,
    );
    lines.push(...role);
  }
  throw new AppError('PROVISIONER_FAILED', `The API token lacks ${lacks.join('; ')}.`, {
    remedy: lines.join('\n'),
  });
}

/**
 * What the token needs here. What it cannot see (a template without VM.Audit) is known by the other half of the
 * privileges that it has there.
 */
function needsOf({ settings, seen, ...parts }: DiagnosisParts, all: Permissions): PrivilegeNeed[] {
  const { first, last } = settings.vmids;
  const below = (folder: string): string[] =>
    Object.keys(all).flatMap((path) =>
      path.startsWith(folder) && path !== folder ? path.slice(folder.length) : [],
    );
  const isOwn = (vmid: string): boolean => Number(vmid) >= first && Number(vmid) <= last;
  const templates = seen.templates.map(({ vm }) => `/vms/${vm.vmid}`);
  const hidden = below('/vms/').flatMap((vmid) => (isOwn(vmid) ? [] : `/vms/${vmid}`));
  const needs = privilegeNeeds(seen.major ?? 0, {
    pool: settings.pool ?? '',
    templates: unique([...templates, ...(templates.length === 0 ? hidden : [])]),
    storages: unique([
      ...seen.templates.map((each) => storageOf(each, settings)),
      ...(templates.length === 0 ? [settings.storage, ...below('/storage/')] : []),
    ]),
    bridges: unique([
      ...seen.templates.map((each) => bridgeOf(each, settings)),
      ...(templates.length === 0 ? [settings.bridge, ...below(ZONE)] : []),
    ]),
  });
  const poolPath = poolPathOf({ settings, seen, ...parts });
  return needs.map((need) => (need.purpose === 'Pool' ? { ...need, path: poolPath } : need));
}
