/** A renter of the benchmarks. */
import type { WireAccess, WireContract } from '@dc/shared/wire/contract';
import type { WireOffering } from '@dc/shared/wire/offering';
import { ApiClient } from '../api-client.ts';
import { waitFor } from '../rent-once.ts';
import { sshRun, type SshIdentity } from '../ssh-login.ts';

/** A renter who has an account and knows what to rent. */
export class Renter {
  readonly #client: ApiClient;
  readonly #identity: SshIdentity;
  readonly #offering: WireOffering;

  private constructor(client: ApiClient, identity: SshIdentity, offering: WireOffering) {
    this.#client = client;
    this.#identity = identity;
    this.#offering = offering;
  }

  static async arrive(url: string, identity: SshIdentity): Promise<Renter> {
    const client = new ApiClient(url);
    await client.post('/api/v1/accounts', { public_key: client.key.publicKey });
    const { items } = await client.get<{ items: WireOffering[] }>('/api/v1/offerings?in_stock=true');
    const [offering] = items;
    if (offering === undefined) throw new Error('there is nothing to rent');
    return new Renter(client, identity, offering);
  }

  /** Rents, pays and waits on the contract's stream, as the page does. */
  async rentUntilActive(): Promise<WireContract> {
    const order = {
      offering_id: this.#offering.id,
      duration_hours: this.#offering.min_hours,
      ssh_public_key: this.#identity.publicKey,
      payment_method: 'test',
    };
    const { id } = await this.#client.post<WireContract>('/api/v1/contracts', order, {
      'idempotency-key': crypto.randomUUID(),
    });
    return waitFor(this.#client, id, ({ state }) => state === 'active');
  }

  /** Runs a command with the system's own ssh, and returns how long that took in milliseconds. */
  async logIn({ access }: WireContract): Promise<number> {
    if (access === null) throw new Error('the contract shows no access');
    const begunAt = performance.now();
    const output = await sshRun(this.#identity, access satisfies WireAccess, 'echo it works');
    if (output.trim() !== 'it works') throw new Error(`ssh printed ${JSON.stringify(output)}`);
    return performance.now() - begunAt;
  }

  async cancel({ id }: WireContract): Promise<void> {
    await this.#client.post(`/api/v1/contracts/${id}/cancel`, {});
  }

  /** Cancels, and waits until the agent has proved that nothing is left. */
  async cancelUntilReleased(contract: WireContract): Promise<void> {
    await this.cancel(contract);
    await waitFor(this.#client, contract.id, ({ release }) => release === 'released');
  }
}
