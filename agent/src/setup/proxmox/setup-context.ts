/** What the steps of set-up work with. */
import type { Clock } from '@dc/shared/clock';
import type { Random } from '@dc/shared/random';
import type { AddressRange } from './answers.ts';
import type { CloudImage } from './image-catalogue.ts';
import type { Host } from './host.ts';
import type { ClusterNode, HostFacts } from './host-facts.ts';
import { shellLine, type HostCommand } from './host.ts';
import type { Pvesh } from './pvesh.ts';

/** Stands in the comment of everything that set-up makes on a cluster, and is looked for before anything is changed. */
export const MADE_BY_US = 'made by dc-agent setup';

/** Everything that was decided. */
export interface SetupPlan {
  readonly nodes: readonly string[];
  readonly storage: string;
  readonly bridge: string;
  /** Null: by DHCP. */
  readonly addresses: AddressRange | null;
  readonly systems: readonly string[];
  readonly vmids: { readonly first: number; readonly last: number };
  readonly coordinatorUrl: string;
  /** Where downloaded images lie: a storage of files on each node. */
  readonly imageStorage: string;
  readonly pool: string;
  readonly templatePrefix: string;
  readonly templateVmid: number;
  readonly apiUrl: string;
  readonly guestNetworks: readonly string[];
  readonly guestSshPort: number | null;
  /** A copy of the API's certificate that follows its renewals; null: its fingerprint of today is pinned. */
  readonly certificateFile: string | null;
  readonly output: string;
  readonly keyDir: string;
  readonly stateDir: string;
  readonly label: string | null;
}

/** The plan, and what carries it out. */
export interface SetupContext {
  readonly plan: SetupPlan;
  readonly facts: HostFacts;
  readonly images: readonly CloudImage[];
  /** The Proxmox host. */
  readonly host: Host;
  readonly pvesh: Pvesh;
  /** The machine that the agent runs on. */
  readonly here: Host;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
}

/** The agents' user at Proxmox VE: it has no password. */
export const USER = 'dc-agent@pve';
/** The API token, as Proxmox VE writes it. */
export const tokenIdOf = ({ pool }: SetupPlan): string => `${USER}!${pool}`;
/** One for all agents of a cluster: they share their templates. */
export const TEMPLATE_POOL = 'dc-agent-templates';
/** What the template of an operating system is called; names of VMs have no dots. */
export const templateNameOf = ({ templatePrefix }: SetupPlan, system: string): string =>
  `${templatePrefix}${system.replaceAll('.', '-')}`;
/** Where the token's secret is kept. */
export const tokenFileOf = ({ keyDir }: SetupPlan): string => `${keyDir}/proxmox.token`;

/** A command on one node of the cluster, by the SSH that Proxmox VE itself uses between its nodes (PVE::SSHInfo). */
export function onNode(node: ClusterNode, command: HostCommand): HostCommand {
  if (node.isLocal || node.ip === null) return command;
  const ssh = [
    'ssh',
    '-o',
    'BatchMode=yes',
    '-o',
    `HostKeyAlias=${node.name}`,
    `root@${node.ip}`,
    '--',
  ] as const;
  return { ...command, argv: [...ssh, shellLine(command.argv)] };
}
