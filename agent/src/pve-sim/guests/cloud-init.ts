/**
 * What a VM's configuration says to cloud-init, and the NoCloud seed that Proxmox VE makes of it: user-data,
 * meta-data and network-config. Pure.
 */
import { createHash } from 'node:crypto';

/** The configuration as cloud-init's data. */
export interface CloudInitData {
  /** Without its domain. */
  readonly hostname: string;
  readonly fqdn: string;
  /** `ciuser`; null: the image's own default user. */
  readonly user: string | null;
  /** As `crypt` writes it; null: none. */
  readonly passwordHash: string | null;
  readonly sshKeys: readonly string[];
  readonly upgradesPackages: boolean;
  readonly nics: readonly NicAddress[];
  readonly nameservers: readonly string[];
  readonly searchDomain: string | null;
}

/** What one network card is told. */
export interface NicAddress {
  readonly index: number;
  readonly mac: string;
  /** `dhcp`, an address with its prefix (`10.0.0.5/24`), or null: nothing. */
  readonly ip: string | null;
  readonly gateway: string | null;
  readonly ip6: string | null;
  readonly gateway6: string | null;
}

/** The files of a NoCloud seed. */
export interface Seed {
  readonly userData: string;
  readonly metaData: string;
  readonly networkConfig: string;
}

/** Reads the cloud-init part of a configuration. `macOf` answers the address of `net<index>`. */
export function readCloudInit(
  config: ReadonlyMap<string, string>,
  vmid: number,
  macOf: (index: number) => string | undefined,
): CloudInitData {
  const nics: NicAddress[] = [];
  for (let index = 0; index < 32; index++) {
    const mac = macOf(index);
    if (mac === undefined) continue;
    const parts = new Map(
      (config.get(`ipconfig${index}`) ?? '')
        .split(',')
        .map((part) => [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)]),
    );
    nics.push({
      index,
      mac,
      ip: parts.get('ip') ?? null,
      gateway: parts.get('gw') ?? null,
      ip6: parts.get('ip6') ?? null,
      gateway6: parts.get('gw6') ?? null,
    });
  }
  return {
    ...names(config.get('name') ?? `VM${vmid}`, config.get('searchdomain')),
    user: config.get('ciuser') ?? null,
    passwordHash: config.get('cipassword') ?? null,
    sshKeys: decodeURIComponent(config.get('sshkeys') ?? '')
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== ''),
    upgradesPackages: config.get('ciupgrade') !== '0',
    nics,
    nameservers: (config.get('nameserver') ?? '').split(/[ ,;]+/).filter((each) => each !== ''),
    searchDomain: config.get('searchdomain') ?? null,
  };
}

function names(name: string, searchDomain: string | undefined): Pick<CloudInitData, 'hostname' | 'fqdn'> {
  const [hostname = name] = name.split('.');
  if (hostname !== name || searchDomain === undefined) return { hostname, fqdn: name };
  return { hostname, fqdn: `${name}.${searchDomain}` };
}

/** Writes the seed. */
export function renderSeed(data: CloudInitData): Seed {
  const userData = renderUserData(data);
  const networkConfig = renderNetworkConfig(data);
  return { userData, networkConfig, metaData: `instance-id: ${digest(userData + networkConfig)}\n` };
}

/** Changes whenever the seed does; cloud-init does its once-per-instance work again then. */
export function instanceIdOf(data: CloudInitData): string {
  return digest(renderUserData(data) + renderNetworkConfig(data));
}

function renderUserData(data: CloudInitData): string {
  const lines = [
    '#cloud-config',
    `hostname: ${data.hostname}`,
    'manage_etc_hosts: true',
    `fqdn: ${data.fqdn}`,
  ];
  if (data.user !== null) lines.push(`user: ${data.user}`);
  if (data.user === 'root') lines.push('disable_root: False');
  if (data.passwordHash !== null) lines.push(`password: ${data.passwordHash}`);
  if (data.sshKeys.length > 0) lines.push('ssh_authorized_keys:', ...data.sshKeys.map((key) => `  - ${key}`));
  lines.push('chpasswd:', '  expire: False');
  if (data.user !== 'root') lines.push('users:', '  - default');
  if (data.upgradesPackages) lines.push('package_upgrade: true');
  return `${lines.join('\n')}\n`;
}

function renderNetworkConfig(data: CloudInitData): string {
  const lines = ['version: 1', 'config:'];
  for (const nic of data.nics) {
    // A card that nothing is said about is not mentioned, and so not configured.
    if (nic.ip === null && nic.ip6 === null) continue;
    lines.push(
      '    - type: physical',
      `      name: eth${nic.index}`,
      `      mac_address: '${nic.mac.toLowerCase()}'`,
    );
    lines.push('      subnets:');
    if (nic.ip === 'dhcp') lines.push('      - type: dhcp4');
    else if (nic.ip !== null) lines.push(...staticSubnet(nic.ip, nic.gateway));
    if (nic.ip6 === 'dhcp') lines.push('      - type: dhcp6');
    else if (nic.ip6 === 'auto') lines.push('      - type: ipv6_slaac');
    else if (nic.ip6 !== null) {
      lines.push('      - type: static6', `        address: '${nic.ip6}'`);
      if (nic.gateway6 !== null) lines.push(`        gateway: '${nic.gateway6}'`);
    }
  }
  if (data.nameservers.length > 0 || data.searchDomain !== null) {
    lines.push(
      '    - type: nameserver',
      '      address:',
      ...data.nameservers.map((each) => `      - '${each}'`),
    );
    if (data.searchDomain !== null) lines.push('      search:', `      - '${data.searchDomain}'`);
  }
  return `${lines.join('\n')}\n`;
}

function staticSubnet(cidr: string, gateway: string | null): string[] {
  const [address = '', prefix = '24'] = cidr.split('/');
  const lines = [
    '      - type: static',
    `        address: '${address}'`,
    `        netmask: '${netmask(Number(prefix))}'`,
  ];
  return gateway === null ? lines : [...lines, `        gateway: '${gateway}'`];
}

function netmask(prefix: number): string {
  const bits = prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0;
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 0xff).join('.');
}

function digest(text: string): string {
  return createHash('sha1').update(text).digest('hex');
}
