/**
 * Which privileges and built-in roles there are in each version: 8 brought SDN.Use and Mapping.*, 9 took VM.Monitor
 * away and brought VM.GuestAgent.* and VM.Replicate. Pure.
 */

/** A version of Proxmox VE that the simulator can be. */
export interface PveVersion {
  readonly major: 7 | 8 | 9;
  /** As `/version` tells it. */
  readonly version: string;
  readonly release: string;
  readonly repoid: string;
  readonly qemu: string;
}

/** The versions by the name that is asked for. */
export const VERSIONS: Readonly<Record<string, PveVersion>> = {
  '7.4': { major: 7, version: '7.4-3', release: '7.4', repoid: '9002ab8a', qemu: '7.2.0' },
  '8.4': { major: 8, version: '8.4.1', release: '8.4', repoid: '2a5fa54a8503f96d', qemu: '9.2.0' },
  '9.1': { major: 9, version: '9.1.1', release: '9.1', repoid: '42db4a6cf33dac83', qemu: '10.1.2' },
};

interface PrivilegeGroup {
  /** In the Administrator role only. */
  readonly root: readonly string[];
  readonly admin: readonly string[];
  readonly user: readonly string[];
  readonly audit: readonly string[];
}

/** The privileges of a version, in the groups that the built-in roles are made of. */
function groupsOf(major: number): Record<string, PrivilegeGroup> {
  const since8 = (...names: string[]): string[] => (major >= 8 ? names : []);
  const since9 = (...names: string[]): string[] => (major >= 9 ? names : []);
  return {
    VM: {
      root: [],
      admin: [
        ...['VM.Config.Disk', 'VM.Config.CPU', 'VM.Config.Memory', 'VM.Config.Network', 'VM.Config.HWType'],
        ...[
          'VM.Config.Options',
          'VM.Allocate',
          'VM.Clone',
          'VM.Migrate',
          'VM.Snapshot',
          'VM.Snapshot.Rollback',
        ],
        ...(major < 9 ? ['VM.Monitor'] : []),
        ...since9('VM.GuestAgent.FileRead', 'VM.GuestAgent.FileWrite', 'VM.GuestAgent.FileSystemMgmt'),
        ...since9('VM.GuestAgent.Unrestricted', 'VM.Replicate'),
      ],
      user: ['VM.Config.CDROM', 'VM.Config.Cloudinit', 'VM.Console', 'VM.Backup', 'VM.PowerMgmt'],
      audit: ['VM.Audit', ...since9('VM.GuestAgent.Audit')],
    },
    Sys: {
      root: ['Sys.PowerMgmt', 'Sys.Modify', ...since8('Sys.AccessNetwork'), 'Sys.Incoming'],
      admin: ['Sys.Console', 'Sys.Syslog', ...(major < 8 ? ['Permissions.Modify'] : [])],
      user: [],
      audit: ['Sys.Audit'],
    },
    Datastore: {
      root: [],
      admin: ['Datastore.Allocate', 'Datastore.AllocateTemplate'],
      user: ['Datastore.AllocateSpace'],
      audit: ['Datastore.Audit'],
    },
    SDN: { root: [], admin: ['SDN.Allocate'], user: since8('SDN.Use'), audit: ['SDN.Audit'] },
    User: {
      root: ['Realm.Allocate', ...since8('Permissions.Modify')],
      admin: ['User.Modify', 'Group.Allocate', 'Realm.AllocateUser'],
      user: [],
      audit: [],
    },
    Pool: { root: [], admin: ['Pool.Allocate'], user: [], audit: ['Pool.Audit'] },
    Mapping: {
      root: [],
      admin: since8('Mapping.Modify'),
      user: since8('Mapping.Use'),
      audit: since8('Mapping.Audit'),
    },
  };
}

/** Every privilege of a version. */
export function allPrivileges({ major }: PveVersion): Set<string> {
  const groups = Object.values(groupsOf(major));
  return new Set(groups.flatMap(({ root, admin, user, audit }) => [...root, ...admin, ...user, ...audit]));
}

/** The roles that a version comes with: name → privileges. */
export function builtInRoles(version: PveVersion): Map<string, ReadonlySet<string>> {
  const groups = Object.entries(groupsOf(version.major)).filter(
    ([, { admin, user, audit }]) => [...admin, ...user, ...audit].length > 0,
  );
  const roles = new Map<string, ReadonlySet<string>>([
    ['NoAccess', new Set()],
    ['Administrator', allPrivileges(version)],
    ['PVEAdmin', new Set(groups.flatMap(([, { admin, user, audit }]) => [...admin, ...user, ...audit]))],
    ['PVEAuditor', new Set(groups.flatMap(([, { audit }]) => audit))],
    ['PVETemplateUser', new Set(['VM.Audit', 'VM.Clone'])],
  ]);
  for (const [name, { admin, user, audit }] of groups) {
    roles.set(`PVE${name}Admin`, new Set([...admin, ...user, ...audit]));
    if (user.length > 0) roles.set(`PVE${name}User`, new Set([...user, ...audit]));
  }
  return roles;
}
