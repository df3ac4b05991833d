/** The vendor's named formats that the calls of the simulator have. Formats that are not here are not checked. Pure. */
import { isIP, isIPv4, isIPv6 } from 'node:net';

const DNS_LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?';

/** By name: whether a text is one. */
export const FORMATS: Readonly<Record<string, (text: string) => boolean>> = {
  'pve-vmid': (text) => /^[1-9]\d{2,8}$/.test(text),
  'pve-node': matches(DNS_LABEL),
  'pve-storage-id': matches('[a-z][a-z0-9\\-_.]*[a-z0-9]', 'i'),
  'pve-bridge-id': matches('[-_.\\w\\d]+'),
  'pve-poolid': matches('[A-Za-z0-9.\\-_]+(?:/[A-Za-z0-9.\\-_]+){0,2}'),
  'pve-userid': matches('[^\\s:/]+@[A-Za-z][A-Za-z0-9.\\-_]+'),
  'pve-roleid': matches('[A-Za-z0-9.\\-_]+'),
  'pve-configid': matches('[a-z][a-z0-9_-]+', 'i'),
  'pve-priv': matches('[A-Z][A-Za-z]*(?:\\.[A-Za-z]+){1,2}'),
  'pve-tokenid': matches('[^\\s:/]+@[A-Za-z][A-Za-z0-9.\\-_]+![A-Za-z][A-Za-z0-9.\\-_]+'),
  'pve-storage-content': (text) =>
    ['none', 'images', 'rootdir', 'vztmpl', 'iso', 'backup', 'snippets', 'import'].includes(text),
  'pve-tag': matches('[a-z0-9_][a-z0-9_\\-+.]*', 'i'),
  'pve-volume-id': (text) => /^[a-z][a-z0-9\-_.]*[a-z0-9]:.+$/i.test(text),
  'pve-volume-id-or-qm-path': (text) =>
    text === 'none' ||
    text === 'cdrom' ||
    text.startsWith('/') ||
    /^[a-z][a-z0-9\-_.]*[a-z0-9]:.+$/i.test(text),
  'pve-qm-boot': (text) =>
    text === '' || /^(legacy=)?[acdn]{1,4}$/.test(text) || /^order=[a-z0-9;]*$/.test(text),
  'pve-qm-bootdisk': matches('(ide|sata|scsi|virtio)\\d+'),
  'pve-qm-ipconfig': isIpConfig,
  'dns-name': matches(`${DNS_LABEL}(?:\\.${DNS_LABEL})*`),
  'mac-addr': (text) => /^[a-f0-9][02468ace](?::[a-f0-9]{2}){5}$/i.test(text),
  urlencoded: (text) => /^[-%a-zA-Z0-9_.!~*'()]*$/.test(text) && isDecodable(text),
  ip: (text) => isIP(text) !== 0,
  ipv4: isIPv4,
  ipv6: isIPv6,
  address: (text) => isIP(text) !== 0 || matches(`${DNS_LABEL}(?:\\.${DNS_LABEL})*`)(text),
  CIDR: isCidr,
  CIDRv4: (text) => isCidr(text) && isIPv4(text.split('/')[0] ?? ''),
  // Real servers list interfaces with the length of the prefix there.
  ipv4mask: (text) => isIPv4(text) || /^\d{1,2}$/.test(text),
  'disk-size': (text) => /^\d+(\.\d+)?[KMGT]?$/.test(text),
  'email-opt': (text) => text === '' || text.includes('@'),
};

function matches(pattern: string, flags = ''): (text: string) => boolean {
  const anchored = new RegExp(`^(?:${pattern})$`, flags);
  return (text) => anchored.test(text);
}

function isCidr(text: string): boolean {
  const [address = '', prefix = ''] = text.split('/');
  return isIP(address) !== 0 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= (isIPv4(address) ? 32 : 128);
}

function isIpConfig(text: string): boolean {
  return text.split(',').every((part) => {
    const [key, value] = [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)];
    if (key === 'ip') return value === 'dhcp' || (isCidr(value) && isIPv4(value.split('/')[0] ?? ''));
    if (key === 'gw') return isIPv4(value);
    if (key === 'ip6') return value === 'dhcp' || value === 'auto' || isCidr(value);
    return key === 'gw6' && isIPv6(value);
  });
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
