/** How privileges add up, as Proxmox VE's own manual describes it. */
import { describe, expect, it } from 'vitest';
import { AccessControl, type AclEntry } from './access-control.ts';
import { allPrivileges, builtInRoles, VERSIONS } from './privileges.ts';

const VERSION = VERSIONS['8.4']!;

function control(
  entries: readonly Partial<AclEntry>[],
  pools: Readonly<Record<string, string>> = {},
): AccessControl {
  const access = new AccessControl(VERSION, (path) => pools[path]);
  const user = access.addUser('a@pve');
  user.groups.add('staff');
  user.tokens.set('t', { tokenid: 't', secret: 's', privsep: true, comment: undefined, expire: 0 });
  user.tokens.set('full', { tokenid: 'full', secret: 's', privsep: false, comment: undefined, expire: 0 });
  access.grant(
    entries.map((entry) => ({
      path: '/',
      type: 'user',
      ugid: 'a@pve',
      roleid: 'PVEAuditor',
      propagate: true,
      ...entry,
    })),
  );
  return access;
}

describe('privileges', () => {
  it('come down from above, unless the entry does not propagate', () => {
    expect(control([{}]).has('a@pve', '/vms/100', ['VM.Audit'])).toBe(true);
    const here = control([{ path: '/vms', propagate: false }]);
    expect(here.has('a@pve', '/vms', ['VM.Audit'])).toBe(true);
    expect(here.has('a@pve', '/vms/100', ['VM.Audit'])).toBe(false);
  });

  it('of a deeper path replace those of a higher one', () => {
    const access = control([{ roleid: 'PVEAdmin' }, { path: '/vms/100', roleid: 'PVEAuditor' }]);
    expect(access.has('a@pve', '/vms/101', ['VM.PowerMgmt'])).toBe(true);
    expect(access.has('a@pve', '/vms/100', ['VM.PowerMgmt'])).toBe(false);
    expect(
      control([{ roleid: 'PVEAdmin' }, { path: '/vms', roleid: 'NoAccess' }]).has('a@pve', '/vms/1', [
        'VM.Audit',
      ]),
    ).toBe(false);
  });

  it('of a user replace those of its groups on the same path', () => {
    const group = { type: 'group', ugid: 'staff', roleid: 'PVEAdmin' } as const;
    expect(control([group]).has('a@pve', '/vms/1', ['VM.PowerMgmt'])).toBe(true);
    expect(control([group, {}]).has('a@pve', '/vms/1', ['VM.PowerMgmt'])).toBe(false);
  });

  it('of a separated token are what both it and its user have', () => {
    const token = { type: 'token', ugid: 'a@pve!t' } as const;
    expect(control([{ roleid: 'PVEAdmin' }]).permissions('a@pve!t', '/vms/1').size).toBe(0);
    expect(control([{ ...token, roleid: 'PVEAdmin' }]).permissions('a@pve!t', '/vms/1').size).toBe(0);
    const both = control([{ roleid: 'PVEAuditor' }, { ...token, roleid: 'PVEAdmin' }]);
    expect(both.has('a@pve!t', '/vms/1', ['VM.Audit'])).toBe(true);
    expect(both.has('a@pve!t', '/vms/1', ['VM.PowerMgmt'])).toBe(false);
    expect(control([{ roleid: 'PVEAdmin' }]).has('a@pve!full', '/vms/1', ['VM.PowerMgmt'])).toBe(true);
    expect(control([]).permissions('a@pve!gone', '/').size).toBe(0);
  });

  it('on a pool are had on its VMs and storages', () => {
    const pools = { '/vms/100': 'dc', '/storage/fast': 'dc' };
    const access = control([{ path: '/pool/dc', roleid: 'PVEAdmin' }], pools);
    expect(access.has('a@pve', '/vms/100', ['VM.PowerMgmt'])).toBe(true);
    expect(access.has('a@pve', '/storage/fast', ['Datastore.AllocateSpace'])).toBe(true);
    expect(access.has('a@pve', '/vms/101', ['VM.Audit'])).toBe(false);
  });

  it('are all of them for root, on every path', () => {
    expect(control([]).permissions('root@pam', '/anything').size).toBe(allPrivileges(VERSION).size);
  });
});

describe('versions', () => {
  it('differ in their privileges as the vendor says', () => {
    const has = (version: string, privilege: string): boolean =>
      allPrivileges(VERSIONS[version]!).has(privilege);
    expect(['7.4', '8.4', '9.1'].map((version) => has(version, 'VM.Monitor'))).toEqual([true, true, false]);
    expect(['7.4', '8.4', '9.1'].map((version) => has(version, 'VM.GuestAgent.Unrestricted'))).toEqual([
      false,
      false,
      true,
    ]);
    expect(['7.4', '8.4', '9.1'].map((version) => has(version, 'SDN.Use'))).toEqual([false, true, true]);
  });

  it('come with the roles that everybody knows', () => {
    const roles = builtInRoles(VERSION);
    expect([...roles.keys()]).toEqual(
      expect.arrayContaining([
        'PVEVMAdmin',
        'PVEVMUser',
        'PVEDatastoreUser',
        'PVEPoolAdmin',
        'PVESDNUser',
        'PVETemplateUser',
      ]),
    );
    expect(roles.get('PVEVMUser')?.has('VM.Allocate')).toBe(false);
    expect(roles.get('PVEVMAdmin')?.has('VM.Allocate')).toBe(true);
  });
});
