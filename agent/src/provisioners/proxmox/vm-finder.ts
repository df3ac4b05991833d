/**
 * Finds our VMs at the cluster and says what each one is. One list of the cluster is enough for all of them: their seals
 * stand in the tags, and a configuration is read only where that does not say enough.
 */
import type { Clock } from '@dc/shared/clock';
import { AppError, isAppError } from '@dc/shared/errors';
import { validSeal } from '../check-seal.ts';
import { instanceId } from '../instance-id.ts';
import type { Absent, Instance, Unknown } from '../provisioner.ts';
import type { Claim, ClaimStore } from './claim-store.ts';
import { proveAbsence } from './prove-absence.ts';
import { PveRefusal } from './pve-client.ts';
import type { Permissions, PveCluster, PveResources, PveVm, VmConfig } from './pve-cluster.ts';
import type { ProxmoxSettings } from './proxmox-options.ts';
import { hasSealTag, sealOfTags } from './seal-tag.ts';
import { saysNotThere } from './translate-refusal.ts';
import { readNotes, type VmNotes } from './vm-notes.ts';

const READS_AT_ONCE = 8;
const NOTES_KEPT_MS = 10 * 60_000;
/** The cluster gathers what VMs do every 10 s; what we did ourselves in between we know better. */
const POWER_KNOWN_MS = 15_000;

export interface FinderParts {
  readonly cluster: PveCluster;
  readonly store: ClaimStore;
  readonly settings: ProxmoxSettings;
  readonly clock: Clock;
  readonly sealSecret: Uint8Array;
}

/** A VM that is there, with its configuration as it is now. */
export interface FoundVm {
  readonly existence: 'present';
  readonly vmid: number;
  readonly node: string;
  readonly config: VmConfig;
  readonly notes: VmNotes | null;
}

/** All that concerns us. `problems` says why something may be missing. */
export interface Survey {
  readonly resources: PveResources;
  readonly instances: readonly Instance[];
  readonly problems: readonly string[];
}

type Power = Instance['power'];

/** What is known of a VM before its configuration, or from it. */
interface VmLine {
  readonly vmid: number;
  readonly node: string;
  readonly lock?: string | undefined;
  readonly tags?: string | undefined;
}

export class VmFinder {
  readonly #parts: FinderParts;
  readonly #notes = new Map<number, { key: string; notes: VmNotes | null; readAt: number }>();
  readonly #power = new Map<number, { power: Power; at: number }>();

  constructor(parts: FinderParts) {
    this.#parts = parts;
  }

  /** Remembers what a VM of ours was seen or made to do. */
  notePower(vmid: number, power: Power): void {
    this.#power.set(vmid, { power, at: this.#parts.clock.monotonic() });
  }

  /** Looks at the whole cluster. Throws where the list is not to be had. */
  async survey(signal: AbortSignal): Promise<Survey> {
    const { cluster } = this.#parts;
    const [resources, problems] = await Promise.all([cluster.resources(signal), this.#blindness(signal)]);
    const offline = new Set(
      resources.nodes.flatMap(({ node, status }) => (status === 'online' ? [] : [node ?? ''])),
    );
    const dark = [...offline].map((node) => `the node ${node} does not answer`);
    const concerned = resources.vms.filter((vm) => this.#concernsUs(vm) && !offline.has(vm.node));
    const instances: Instance[] = [];
    const unread: string[] = [];
    const waiting = [...concerned];
    const readers = Array.from({ length: READS_AT_ONCE }, async () => {
      for (let vm = waiting.shift(); vm !== undefined; vm = waiting.shift()) {
        const instance = await this.#instanceOf(vm, signal);
        if (instance === 'unread') unread.push(`the VM ${vm.vmid} cannot be read`);
        else if (instance !== 'gone') instances.push(instance);
      }
    });
    await Promise.all(readers);
    return { resources, instances, problems: [...problems, ...dark, ...unread] };
  }

  /** Finds one VM by its VMID, wherever it is now. */
  async find(vmid: number, signal: AbortSignal): Promise<FoundVm | Absent | Unknown> {
    const { cluster, store } = this.#parts;
    const remembered = store.ofVmid(vmid)?.node;
    try {
      const here = remembered === undefined ? null : await this.#readAt(remembered, vmid, signal);
      if (here !== null) return here;
      const { vms } = await cluster.resources(signal);
      const vm = vms.find((each) => each.vmid === vmid);
      const there = vm === undefined ? null : await this.#readAt(vm.node, vmid, signal);
      if (there === null) {
        const proof = await proveAbsence(cluster, vmid, signal);
        return proof.existence === 'taken'
          ? { existence: 'unknown', reason: `the VMID ${vmid} is taken, and what has it cannot be read` }
          : proof;
      }
      store.noteNode(vmid, there.node);
      return there;
    } catch (error) {
      if (error instanceof PveRefusal) return { existence: 'unknown', reason: reasonOf(error) };
      if (isAppError(error, 'PROVISIONER_UNAVAILABLE'))
        return { existence: 'unknown', reason: 'Proxmox does not answer' };
      throw error;
    }
  }

  /** What the port says of a VM whose configuration was just read. */
  async describe(found: FoundVm, signal: AbortSignal): Promise<Instance> {
    const { vmid, node, config } = found;
    const power = await this.#parts.cluster.power(node, vmid, signal);
    this.notePower(vmid, power);
    return this.#toInstance({ vmid, node, lock: config['lock'], tags: config['tags'] }, found.notes, power);
  }

  async #readAt(node: string, vmid: number, signal: AbortSignal): Promise<FoundVm | null> {
    try {
      const config = await this.#parts.cluster.config(node, vmid, signal);
      return { existence: 'present', vmid, node, config, notes: readNotes(config['description']) };
    } catch (error) {
      // With the privileges of a pool, what is in no pool (any more) is 403, there or not.
      if (saysNotThere(error) || (error instanceof PveRefusal && error.status === 403)) return null;
      throw error;
    }
  }

  #concernsUs({ vmid, tags, pool }: PveVm): boolean {
    const { settings } = this.#parts;
    const isInRange = vmid >= settings.vmids.first && vmid <= settings.vmids.last;
    return isInRange || hasSealTag(tags) || (settings.pool !== null && pool === settings.pool);
  }

  async #instanceOf(vm: PveVm, signal: AbortSignal): Promise<Instance | 'unread' | 'gone'> {
    const { store, cluster, sealSecret } = this.#parts;
    try {
      const claim = store.ofVmid(vm.vmid);
      const seal = sealOfTags(vm.tags);
      const isKnown =
        claim !== null && validSeal({ seal, contractId: claim.contractId }, sealSecret) !== null;
      const notes =
        isKnown && seal !== null
          ? { seal, contractId: claim.contractId, token: claim.token }
          : await this.#notesOf(vm, signal);
      return this.#toInstance(vm, notes, await this.#powerOf(vm, cluster, signal));
    } catch (error) {
      if (isAppError(error, 'SAGA_ABORTED')) throw error;
      // It went between the list and the look, as what an interrupted clone leaves does: that has to be proved.
      const isGone =
        saysNotThere(error) && (await proveAbsence(cluster, vm.vmid, signal)).existence === 'absent';
      return isGone ? 'gone' : 'unread'; // Told as a problem by the caller: one VM must not hide the others.
    }
  }

  async #notesOf({ vmid, node, name, tags, lock }: PveVm, signal: AbortSignal): Promise<VmNotes | null> {
    const { cluster, clock } = this.#parts;
    const key = JSON.stringify([node, name, tags, lock]);
    const kept = this.#notes.get(vmid);
    if (kept?.key === key && clock.monotonic() - kept.readAt < NOTES_KEPT_MS) return kept.notes;
    const notes = readNotes((await cluster.config(node, vmid, signal))['description']);
    // While it is made, it has no notes yet, and its line in the list does not change when it gets them.
    if (lock === undefined) this.#notes.set(vmid, { key, notes, readAt: clock.monotonic() });
    return notes;
  }

  async #powerOf(vm: PveVm, cluster: PveCluster, signal: AbortSignal): Promise<Power> {
    const known = this.#power.get(vm.vmid);
    if (known !== undefined && this.#parts.clock.monotonic() - known.at < POWER_KNOWN_MS) return known.power;
    if (vm.status === 'running' || vm.status === 'stopped') return vm.status;
    return cluster.power(vm.node, vm.vmid, signal);
  }

  #toInstance({ vmid, node, lock, tags }: VmLine, notes: VmNotes | null, power: Power): Instance {
    const { store, sealSecret } = this.#parts;
    const claim = store.ofVmid(vmid);
    const about = notes ?? (claim !== null && isOfClaim(claim, lock) ? claim : null);
    const seal = notes === null ? null : validSeal(notes, sealSecret);
    const problem = problemOf({ vmid, node, lock, tags }, seal, claim);
    return {
      handle: {
        driver: 'proxmox',
        version: 1,
        id: about === null ? `vm.${vmid}` : instanceId(about.contractId, about.token),
        vmid,
      },
      seal,
      contractId: about?.contractId ?? null,
      token: about?.token ?? null,
      power,
      ssh: this.#accessOf(claim),
      ...(problem === undefined ? {} : { problem }),
    };
  }

  #accessOf(claim: Claim | null): Instance['ssh'] {
    const { settings } = this.#parts;
    if (claim?.access == null) return null;
    const { host, hostKey, fingerprint } = claim.access;
    return { host, port: settings.sshPort, user: settings.user, hostKeyFingerprint: fingerprint, hostKey };
  }

  /** Why a list could leave out what is there. */
  async #blindness(signal: AbortSignal): Promise<string[]> {
    const { cluster, settings } = this.#parts;
    const problems: string[] = [];
    if (!mayAudit(await cluster.permissions(signal), settings.pool))
      problems.push(
        `the token lacks VM.Audit on ${settings.pool === null ? '/vms' : `/pool/${settings.pool}`}: it sees none of the VMs there`,
      );
    try {
      if (!(await cluster.isQuorate(signal)))
        problems.push('the cluster has no quorum: what it says may be old');
    } catch (error) {
      if (!(error instanceof PveRefusal) || error.status !== 403) throw error;
      problems.push('the token lacks Sys.Audit on /: it cannot see whether the cluster has a quorum');
    }
    return problems;
  }
}

/** Whether a VM without notes may be the one that was claimed: its clone has begun, for all that we know. */
const isOfClaim = ({ upid, phase }: Claim, lock: string | undefined): boolean =>
  upid !== null || phase === 'ready' || lock === 'clone';

/** Whether VMs of the pool, or all of them, are shown to us. */
export function mayAudit(permissions: Permissions, pool: string | null): boolean {
  const spreads = (path: string): boolean => permissions[path]?.['VM.Audit'] === 1;
  return (
    spreads('/') ||
    spreads('/vms') ||
    (pool !== null && permissions[`/pool/${pool}`]?.['VM.Audit'] !== undefined)
  );
}

function problemOf(
  { vmid, node, lock, tags }: VmLine,
  seal: string | null,
  claim: Claim | null,
): string | undefined {
  const tagged = sealOfTags(tags);
  if (tagged !== null && tagged !== seal)
    return `its tag and its description disagree about whose VM ${vmid} is; it is left alone`;
  if (lock !== undefined && claim?.phase !== 'cloning')
    return `it is locked (${lock}); if no task works on it any more: qm unlock ${vmid}, on ${node}`;
  return undefined;
}

function reasonOf(error: PveRefusal): string {
  if (error.status === 401) return 'Proxmox does not accept the API token';
  if (error.status === 403) return 'the API token may not look';
  return error.status >= 595 ? 'the node does not answer' : 'Proxmox could not say';
}

/** Throws where a look did not find the VM and did not prove its absence either. */
export function orUnavailable<T extends { existence: 'present' } | Absent>(found: T | Unknown): T {
  if (found.existence === 'unknown')
    throw new AppError(
      'PROVISIONER_UNAVAILABLE',
      `It cannot be told whether the VM is there: ${found.reason}.`,
    );
  return found;
}
