/** What a template's first boot is told, and what is cleaned away before it becomes a template. Pure. */
import type { AddressRange } from './answers.ts';
import type { CloudImage } from './image-catalogue.ts';

/** cloud-init's user-data: the guest agent and nobody who could log in. */
export function userData({ commands }: CloudImage): string {
  const run = ['systemctl enable --now qemu-guest-agent', ...commands];
  return [
    '#cloud-config',
    'users: []',
    'ssh_pwauth: false',
    'package_update: true',
    'packages: [qemu-guest-agent]',
    'runcmd:',
    ...run.map((command) => `  - ${JSON.stringify(command)}`),
    '',
  ].join('\n');
}

/** cloud-init's network-config where nobody gives addresses; the range's last one is the last that a renter would get. */
export const networkConfig = ({ last, prefix, gateway }: AddressRange, nameserver: string): string =>
  [
    'version: 2',
    'ethernets:',
    '  all:',
    '    match: {name: "e*"}',
    `    addresses: [${last}/${prefix}]`,
    '    routes: [{to: 0.0.0.0/0, via: ' + gateway + '}]',
    `    nameservers: {addresses: [${nameserver}]}`,
    '',
  ].join('\n');

/** cloud-init's meta-data: an instance of its own, so that clones are other ones. */
export const metaData = (name: string): string => `instance-id: ${name}-build\nlocal-hostname: template\n`;

/**
 * Run inside by the guest agent when cloud-init has ended. What makes a machine this machine must not be copied:
 * machine-id (clones with one share a DHCP lease), host keys, cloud-init's memory of having run, logs and leases.
 */
export const CLEAN_SCRIPT = [
  'set -e',
  'cloud-init clean --logs',
  'rm -f /etc/ssh/ssh_host_*',
  'rm -f /var/lib/dbus/machine-id /var/lib/systemd/random-seed',
  'rm -rf /var/lib/dhcp/* /var/lib/NetworkManager/*lease*',
  'truncate -s 0 /etc/machine-id',
  'sync',
].join('\n');

/** Says nothing where nothing is left. */
export const LEFT_SCRIPT = 'cat /etc/machine-id; ls /etc/ssh/ | grep ssh_host_ || true';
