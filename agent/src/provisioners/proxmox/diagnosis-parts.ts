/** What the checks of a Proxmox cluster share: the way to it, and what earlier checks have found. */
import type { Clock } from '@dc/shared/clock';
import type { Random } from '@dc/shared/random';
import type { Offer } from '../registry.ts';
import { bootDiskOf } from './place-vm.ts';
import type { PveCluster, PveResources, PveVm, VmConfig } from './pve-cluster.ts';
import type { ProxmoxSettings } from './proxmox-options.ts';

export interface DiagnosisParts {
  readonly cluster: PveCluster;
  readonly settings: ProxmoxSettings;
  readonly clock: Clock;
  readonly random: Random;
  readonly sealSecret: Uint8Array;
  readonly stateDir: string;
  /** `user@realm!name`. */
  readonly tokenId: string;
  /** What is sold; null where the coordinator did not say. */
  readonly offers: readonly Offer[] | null;
  readonly signal: AbortSignal;
  readonly seen: Seen;
}

/** A template and what it is made of. */
export interface SeenTemplate {
  readonly vm: PveVm;
  readonly config: VmConfig;
}

/** Null until the check that finds it has run well. */
export interface Seen {
  major: number | null;
  resources: PveResources | null;
  templates: SeenTemplate[];
}

/** The bridge of net0. */
export const bridgeOf = ({ config }: SeenTemplate, { bridge }: ProxmoxSettings): string | null =>
  bridge ?? /(?:^|,)bridge=([^,]+)/.exec(config['net0'] ?? '')?.[1] ?? null;

/** Where disks of its clones come to be. */
export const storageOf = ({ config }: SeenTemplate, { storage }: ProxmoxSettings): string | null =>
  storage ?? bootDiskOf(config)?.storage ?? null;

export const unique = (texts: readonly (string | null)[]): string[] => [
  ...new Set(texts.flatMap((text) => text ?? [])),
];
