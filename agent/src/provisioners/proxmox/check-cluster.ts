/** The checks of a cluster itself: how it is reached, its clocks, its nodes, and the VMIDs of this agent. */
import { Type } from 'typebox';
import Value from 'typebox/value';
import { AppError } from '@dc/shared/errors';
import type { Check, Finding } from '../../lib/check.ts';
import type { DiagnosisParts } from './diagnosis-parts.ts';
import { pvePath } from './pve-path.ts';

const MAJOR_OLDEST = 7;
const MAJOR_NEWEST = 9;
/** A node tells whole seconds, and the answer takes a moment. */
const SKEW_WARNING_MS = 5_000;
const VMIDS_FREE_WARNING = 10;
const TimeSchema = Type.Object({ time: Type.Number() });

/** The checks, in the order in which one makes the next possible. */
export function clusterChecks(parts: DiagnosisParts): Check[] {
  return [
    { name: 'proxmox', run: () => checkAnswer(parts) },
    { name: 'proxmox cluster', run: () => checkNodes(parts) },
    { name: 'proxmox clock', run: () => checkClock(parts) },
    { name: 'proxmox vmids', run: async () => checkVmids(parts) },
  ];
}

export const NOT_LOOKED: Finding = {
  severity: 'skipped',
  detail: 'Not looked at: the cluster could not be read.',
};

/** It answers, with the certificate that is pinned (or the client throws), and knows the token. */
async function checkAnswer({ cluster, seen, signal, tokenId }: DiagnosisParts): Promise<Finding> {
  const major = await cluster.major(signal);
  seen.major = major;
  const detail = `Proxmox VE ${major} answers, shows the pinned certificate, and knows the token ${tokenId}.`;
  if (major >= MAJOR_OLDEST && major <= MAJOR_NEWEST) return detail;
  return {
    severity: 'warning',
    detail: `${detail} The driver is tried with ${MAJOR_OLDEST} to ${MAJOR_NEWEST}.`,
    remedy: 'Try it with dc-agent test-provision.',
  };
}

async function checkNodes({ cluster, seen, settings, signal }: DiagnosisParts): Promise<Finding> {
  seen.resources = await cluster.resources(signal);
  const { nodes } = seen.resources;
  const names = nodes.flatMap(({ node }) => node ?? []);
  const unknown = (settings.nodes ?? []).filter((node) => !names.includes(node));
  if (unknown.length > 0)
    throw new AppError('CONFIG_INVALID', `The cluster has no node ${unknown.join(', ')}.`, {
      remedy: `Write the setting nodes as pvecm nodes shows them: ${names.join(', ')}.`,
    });
  if (!(await cluster.isQuorate(signal)))
    throw new AppError('PROVISIONER_UNAVAILABLE', 'The cluster has no quorum: nothing can be changed.', {
      remedy: 'Bring enough nodes back: pvecm status shows which are missing.',
    });
  const dark = nodes.filter(({ status }) => status !== 'online').flatMap(({ node }) => node ?? []);
  if (dark.length === 0)
    return `${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} online, with quorum.`;
  return {
    severity: 'warning',
    detail: `${dark.join(', ')} ${dark.length === 1 ? 'does' : 'do'} not answer; what is there is unknown.`,
    remedy: 'Bring it back. Until then nothing is built, since a VM of a contract may be there already.',
  };
}

async function checkClock({ cluster, seen, clock, signal }: DiagnosisParts): Promise<Finding> {
  const online = (seen.resources?.nodes ?? []).filter(({ status }) => status === 'online');
  if (seen.resources === null) return NOT_LOOKED;
  const off: string[] = [];
  for (const { node = '' } of online) {
    const answer = await cluster.client.get(pvePath`/nodes/${node}/time`, signal);
    if (!Value.Check(TimeSchema, answer)) continue;
    const skewMs = answer.time * 1_000 - clock.now();
    if (Math.abs(skewMs) > SKEW_WARNING_MS)
      off.push(`${node} is ${Math.round(Math.abs(skewMs) / 1_000)} s ${skewMs > 0 ? 'ahead' : 'behind'}`);
  }
  if (off.length === 0) return 'The clocks of the nodes and of this machine agree.';
  return {
    severity: 'warning',
    detail: `The clocks differ from this machine's: ${off.join(', ')}.`,
    remedy: 'Let NTP set the clock of every node: systemctl status chrony.',
  };
}

function checkVmids({ seen, settings }: DiagnosisParts): Finding {
  if (seen.resources === null) return NOT_LOOKED;
  const { first, last } = settings.vmids;
  const taken = [...seen.resources.takenVmids].filter((vmid) => vmid >= first && vmid <= last).length;
  const free = last - first + 1 - taken;
  const detail = `${free} of the VMIDs ${first} to ${last} are free.`;
  if (free >= VMIDS_FREE_WARNING) return detail;
  const remedy = 'Give the driver a wider range: vmid_first and vmid_last.';
  if (free <= 0) throw new AppError('PROVISIONER_EXHAUSTED', detail, { remedy });
  return { severity: 'warning', detail, remedy };
}
