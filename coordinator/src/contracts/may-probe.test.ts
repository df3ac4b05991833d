import { describe, expect, it } from 'vitest';
import { mayProbe } from './may-probe.ts';

/** The first and last address of every range that is not the public internet (IANA's special-purpose registries). */
const NOT_PUBLIC = [
  ...['0.0.0.0', '0.255.255.255', '10.0.0.0', '10.255.255.255', '100.64.0.0', '100.127.255.255'],
  ...['127.0.0.1', '127.255.255.255', '169.254.0.0', '169.254.169.254', '169.254.255.255'],
  ...['172.16.0.0', '172.31.255.255', '192.0.0.0', '192.0.0.255', '192.0.2.1', '192.88.99.1'],
  ...['192.168.0.0', '192.168.255.255', '198.18.0.0', '198.19.255.255', '198.51.100.7', '203.0.113.7'],
  ...['224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255'],
  // IPv6: unspecified, loopback, unique local, link-local, site-local, multicast, documentation.
  ...['::', '::1', 'fc00::1', 'fd12:3456::1', 'fe80::1', 'febf::1', 'fec0::1', 'ff02::1', '2001:db8::1'],
  ...['3fff::1', '3fff:fff::1', '100::1', '5f00::1', '4000::1', 'fd00:ec2::254'],
  // IPv4 inside IPv6: mapped, compatible, NAT64, 6to4, Teredo.
  ...['::ffff:10.0.0.1', '::ffff:a00:1', '::FFFF:127.0.0.1', '::ffff:8.8.8.8', '::10.0.0.1', '::a00:1'],
  ...['64:ff9b::10.0.0.1', '64:ff9b:1::a00:1', '2002:a00:1::1', '2002:7f00:1::', '2001:0:53aa:64c::1'],
];

const PUBLIC = [
  ...['1.1.1.1', '8.8.8.8', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.0.0.1'],
  ...['128.0.0.1', '169.253.255.255', '172.15.255.255', '172.32.0.0', '192.0.1.1', '192.167.1.1'],
  ...['198.17.255.255', '198.20.0.0', '223.255.255.255'],
  ...['2a01:4f8::1', '2606:4700:4700::1111', '2001:4860:4860::8888', '2003::1', '3ffe::1'],
];

/** What a resolver, or a C library, would take for an address of our own. */
const DISGUISED = [
  ...['127.1', '10.1', '0', '2130706433', '0x7f000001', '0x7f.0.0.1', '0177.0.0.1', '012.0.0.1', '1.2.3'],
  ...['1.2.3.4.', '1.2.3.4 ', ' 1.2.3.4', '1.2.3.4\n', '1.2.3.4%eth0', '[::1]', '::1%lo', 'fe80::1%eth0'],
  ...['2a01:4f8::1%eth0', '１.1.1.1', ''],
];

const NAMES = ['example.com', 'localhost.', 'LOCALHOST', 'metadata.google.internal', '10.0.0.1.nip.io', 'a'];

describe('where the coordinator may connect to', () => {
  it.each(NOT_PUBLIC)('not %s', (host) => {
    expect(mayProbe(host, false)).toBe(false);
  });

  it.each(PUBLIC)('yes, %s', (host) => {
    expect(mayProbe(host, false)).toBe(true);
    expect(mayProbe(host, true)).toBe(true);
  });

  it.each([...DISGUISED, ...NAMES, 'localhost'])('not %j, which is no plain address', (host) => {
    expect(mayProbe(host, false)).toBe(false);
  });

  it('to this machine only where it is its own installation, and then to nothing else that is private', () => {
    for (const host of ['127.0.0.1', '127.8.9.10', '::1', 'localhost']) {
      expect(mayProbe(host, true), host).toBe(true);
      expect(mayProbe(host, false), host).toBe(false);
    }
    const others = NOT_PUBLIC.filter((host) => !/^127\.|^::1$|^::ffff:127/i.test(host));
    for (const host of [...others, ...DISGUISED, ...NAMES]) expect(mayProbe(host, true), host).toBe(false);
  });
});
