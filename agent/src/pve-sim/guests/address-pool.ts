/**
 * The addresses of guests on loopback: all of 127/8 answers on Linux, so each guest has one of its own. Stands for the
 * DHCP server of the guests' network, and like one it knows its clients by what they say they are: their machine-id.
 * Two guests with one machine-id get one address.
 */

const FIRST = (127 << 24) | (64 << 16) | 2; // 127.64.0.2: leaves the usual 127.0.x.x to others.
const COUNT = 1 << 22; // Up to 127.127.255.255.

export class AddressPool {
  readonly #leases = new Map<string, string>();
  readonly #users = new Map<string, number>();
  #next: number;

  /** `start` keeps simulators that run at the same time apart. */
  constructor(start: number) {
    this.#next = start % COUNT;
  }

  /** The address that a client has, or a new one. */
  lease(clientId: string): string {
    this.#users.set(clientId, (this.#users.get(clientId) ?? 0) + 1);
    const known = this.#leases.get(clientId);
    if (known !== undefined) return known;
    return this.renew(clientId);
  }

  /** A client is off. Its address stays its own. */
  release(clientId: string): void {
    this.#users.set(clientId, Math.max(0, (this.#users.get(clientId) ?? 0) - 1));
  }

  /** Whether more than one machine that is on says that it is this client. */
  isShared(clientId: string): boolean {
    return (this.#users.get(clientId) ?? 0) > 1;
  }

  /** Another address for a client: where something else already has the one it got. */
  renew(clientId: string): string {
    const offset = this.#next;
    this.#next = (this.#next + 1) % COUNT;
    const number = FIRST + offset;
    const address = [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff).join('.');
    // .0 and .255 look like a network and a broadcast address to clients that are careful.
    if (/\.(0|255)$/.test(address)) return this.renew(clientId);
    this.#leases.set(clientId, address);
    return address;
  }
}
