/** IPv4 addresses and networks as numbers. PURE. */
import { isIPv4 } from 'node:net';

/** A network as an address and a mask, both as 32-bit numbers. */
export interface Network {
  readonly address: number;
  readonly mask: number;
}

/** `192.0.2.0/24`; null where it is none. */
export function parseNetwork(text: string): Network | null {
  const [address = '', length = ''] = text.split('/');
  const bits = Number(length);
  if (!isIPv4(address) || !/^\d{1,2}$/.test(length) || bits > 32) return null;
  const mask = bits === 0 ? 0 : (0xffff_ffff << (32 - bits)) >>> 0;
  return { address: (ipv4Number(address) & mask) >>> 0, mask };
}

export const contains = ({ address, mask }: Network, number: number): boolean =>
  (number & mask) >>> 0 === address;

/** An IPv4 address as a 32-bit number. */
export function ipv4Number(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** The text of a 32-bit number. */
export const ipv4Text = (number: number): string =>
  [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff).join('.');
