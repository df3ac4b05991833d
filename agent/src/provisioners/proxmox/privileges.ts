/**
 * Which privileges the driver needs, and where: the one list for what set-up grants, what the doctor probes, and what
 * the tests take away one by one. Pure.
 */

// Network stands for what cloud-init is told too; drives and hardware are as the template has them.
const VM_CONFIG = ['Disk', 'CPU', 'Memory', 'Network', 'Options'];

/** What the driver works with. */
export interface PrivilegePlaces {
  readonly pool: string;
  /** Where the templates are to be seen: `/vms/9000`, or `/pool/dc-templates`. */
  readonly templates: readonly string[];
  readonly storages: readonly string[];
  readonly bridges: readonly string[];
}

/** Privileges that go together. */
export interface PrivilegeNeed {
  /** What they are for; roles are named after it. */
  readonly purpose: 'Cluster' | 'Pool' | 'Template' | 'Storage' | 'Bridge';
  readonly path: string;
  readonly privileges: readonly string[];
}

/** The name of the role that set-up gives these privileges by, and that the doctor says to mend. */
export const roleNameOf = (purpose: PrivilegeNeed['purpose']): string => `DcAgent${purpose}`;

/** All of them for a major version of Proxmox VE (7 to 9), without a path twice. */
export function privilegeNeeds(major: number, places: PrivilegePlaces): PrivilegeNeed[] {
  // 9 took VM.Monitor away and has privileges for the guest agent alone; bridges have been protected since 8.
  const agent = major < 9 ? ['VM.Monitor'] : ['VM.GuestAgent.Unrestricted'];
  const config = VM_CONFIG.map((name) => `VM.Config.${name}`);
  const on = (
    purpose: PrivilegeNeed['purpose'],
    paths: readonly string[],
    privileges: readonly string[],
  ): PrivilegeNeed[] => paths.map((path) => ({ purpose, path, privileges }));
  const zone = '/sdn/zones/localnetwork';
  return [
    ...on('Cluster', ['/'], ['Sys.Audit']),
    ...on('Pool', [`/pool/${places.pool}`], ['VM.Allocate', 'VM.Audit', 'VM.PowerMgmt', ...config, ...agent]),
    ...on('Template', places.templates, ['VM.Audit', 'VM.Clone']),
    ...on(
      'Storage',
      places.storages.map((storage) => `/storage/${storage}`),
      ['Datastore.Audit', 'Datastore.AllocateSpace'],
    ),
    ...on('Bridge', major < 8 ? [] : places.bridges.map((bridge) => `${zone}/${bridge}`), ['SDN.Use']),
  ];
}
