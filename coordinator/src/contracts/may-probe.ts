/** Where the coordinator may connect to: an agent must not aim us at our own networks. Pure. */
import { BlockList, isIP } from 'node:net';

/** What IANA's special-purpose registries keep from the public internet, and multicast. */
const NOT_PUBLIC_IPV4: readonly [network: string, prefix: number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
];
/** Inside 2000::/3; everything outside of it is not public anyway. The tunnels carry any IPv4 address. */
const NOT_PUBLIC_IPV6: readonly [network: string, prefix: number][] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
];

/** One delivery asks once: making them anew takes microseconds. */
function makeLists(): { notPublic: BlockList; unicastIpv6: BlockList; loopback: BlockList } {
  const notPublic = new BlockList();
  for (const [network, prefix] of NOT_PUBLIC_IPV4) notPublic.addSubnet(network, prefix, 'ipv4');
  for (const [network, prefix] of NOT_PUBLIC_IPV6) notPublic.addSubnet(network, prefix, 'ipv6');
  const unicastIpv6 = new BlockList();
  unicastIpv6.addSubnet('2000::', 3, 'ipv6');
  const loopback = new BlockList();
  loopback.addSubnet('127.0.0.0', 8, 'ipv4');
  loopback.addAddress('::1', 'ipv6');
  return { notPublic, unicastIpv6, loopback };
}

/**
 * Whether the coordinator may connect there: a public address or, where `allowsLoopback`, this machine. Never a name,
 * which could resolve to anything, nor any other spelling of an address.
 */
export function mayProbe(host: string, allowsLoopback: boolean): boolean {
  const { notPublic, unicastIpv6, loopback } = makeLists();
  switch (isIP(host)) {
    case 4:
      return (allowsLoopback && loopback.check(host)) || !notPublic.check(host);
    case 6:
      if (host.includes('%')) return false; // A zone: link-local.
      if (allowsLoopback && loopback.check(host, 'ipv6')) return true;
      return unicastIpv6.check(host, 'ipv6') && !notPublic.check(host, 'ipv6');
    default:
      return allowsLoopback && host === 'localhost';
  }
}
