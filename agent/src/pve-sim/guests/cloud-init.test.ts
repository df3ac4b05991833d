/** The seed that is made of a VM's configuration, as Proxmox VE makes it. */
import { describe, expect, it } from 'vitest';
import { instanceIdOf, readCloudInit, renderSeed } from './cloud-init.ts';

const MACS = ['BC:24:11:00:00:01', 'BC:24:11:00:00:02'];

function seedOf(config: Readonly<Record<string, string>>) {
  return renderSeed(readCloudInit(new Map(Object.entries(config)), 101, (index) => MACS[index]));
}

describe('user-data', () => {
  it('has everything that the configuration says', () => {
    const keys = encodeURIComponent('ssh-ed25519 AAAA one\nssh-ed25519 BBBB two\n');
    const { userData } = seedOf({
      name: 'box.example.org',
      ciuser: 'renter',
      cipassword: '$5$x$y',
      sshkeys: keys,
      ciupgrade: '0',
    });
    expect(userData).toBe(
      [
        ...[
          '#cloud-config',
          'hostname: box',
          'manage_etc_hosts: true',
          'fqdn: box.example.org',
          'user: renter',
          'password: $5$x$y',
        ],
        ...[
          'ssh_authorized_keys:',
          '  - ssh-ed25519 AAAA one',
          '  - ssh-ed25519 BBBB two',
          'chpasswd:',
          '  expire: False',
        ],
        ...['users:', '  - default', ''],
      ].join('\n'),
    );
  });

  it('is for root where that is the user, upgrades unless it is told not to, and adds the search domain', () => {
    const { userData } = seedOf({ ciuser: 'root', searchdomain: 'example.org' });
    expect(userData).toContain(
      'hostname: VM101\nmanage_etc_hosts: true\nfqdn: VM101.example.org\nuser: root\ndisable_root: False\n',
    );
    expect(userData).toContain('package_upgrade: true\n');
    expect(userData).not.toContain('users:');
  });
});

describe('network-config', () => {
  it('has static addresses, DHCP and name servers, for the cards that something is said about', () => {
    const { networkConfig } = seedOf({
      ipconfig1: 'ip=10.1.2.3/20,gw=10.1.0.1,ip6=2001:db8::2/64,gw6=2001:db8::1',
      nameserver: '9.9.9.9',
      searchdomain: 'example.org',
    });
    expect(networkConfig).toBe(
      [
        ...[
          'version: 1',
          'config:',
          '    - type: physical',
          '      name: eth1',
          "      mac_address: 'bc:24:11:00:00:02'",
          '      subnets:',
        ],
        ...[
          '      - type: static',
          "        address: '10.1.2.3'",
          "        netmask: '255.255.240.0'",
          "        gateway: '10.1.0.1'",
        ],
        ...['      - type: static6', "        address: '2001:db8::2/64'", "        gateway: '2001:db8::1'"],
        ...[
          '    - type: nameserver',
          '      address:',
          "      - '9.9.9.9'",
          '      search:',
          "      - 'example.org'",
          '',
        ],
      ].join('\n'),
    );
    expect(seedOf({ ipconfig0: 'ip=dhcp' }).networkConfig).toContain('      - type: dhcp4\n');
  });
});

describe('the instance id', () => {
  it('changes with what the guest is told, and only then', () => {
    const idOf = (config: Readonly<Record<string, string>>): string =>
      instanceIdOf(readCloudInit(new Map(Object.entries(config)), 101, () => undefined));
    expect(idOf({ ciuser: 'a' })).toBe(idOf({ ciuser: 'a', cores: '4' }));
    expect(idOf({ ciuser: 'a' })).not.toBe(idOf({ ciuser: 'b' }));
    expect(seedOf({ ciuser: 'a' }).metaData).toMatch(/^instance-id: [0-9a-f]{40}\n$/);
  });
});
