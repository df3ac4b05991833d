/** Plays a renter through the public API only: account, rent, pay, wait, log in, cancel, check what is left. */
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { formatMoney, fromWire } from '@dc/shared/money/money';
import type { WireContract } from '@dc/shared/wire/contract';
import type { WireOffering } from '@dc/shared/wire/offering';
import { ApiClient } from './api-client.ts';
import { makeSshIdentity, sshRun } from './ssh-login.ts';

/** How long each stage may take before the run fails, in milliseconds. */
const STAGE_TIMEOUT_MS = 60_000;

export interface RentalStage {
  name: string;
  duration_ms: number;
}

/** What a rental came to. All times in milliseconds. */
export interface RentalReport {
  contract_id: string;
  offering: string;
  total: string;
  ssh_command: string;
  host_key_fingerprint: string;
  command_output: string;
  paid_to_ssh_ms: number;
  stages: RentalStage[];
  /** The stages as the coordinator measured them. */
  coordinator_stages: WireContract['stages'];
  refunded: string;
  instance_gone: boolean;
  released: boolean;
}

/** Rents the cheapest offering in stock at `url` for an hour, and cancels it again. */
export async function rentOnce(
  url: string,
  onStage: (stage: RentalStage) => void = () => undefined,
): Promise<RentalReport> {
  const client = new ApiClient(url);
  const identity = await makeSshIdentity();
  const stages: RentalStage[] = [];
  const timed = async <T>(name: string, action: () => Promise<T>): Promise<T> => {
    const startedAt = performance.now();
    const result = await action();
    const stage = { name, duration_ms: Math.round((performance.now() - startedAt) * 10) / 10 };
    stages.push(stage);
    onStage(stage);
    return result;
  };
  try {
    await timed('account', () => client.post('/api/v1/accounts', { public_key: client.key.publicKey }));
    const offering = await timed('offerings', () => cheapestOffering(client));
    const order = {
      offering_id: offering.id,
      duration_hours: offering.min_hours,
      ssh_public_key: identity.publicKey,
      payment_method: 'test',
    };
    const ordered = await timed('rent and pay', () =>
      client.post<WireContract>('/api/v1/contracts', order, { 'idempotency-key': crypto.randomUUID() }),
    );
    const paidAt = performance.now();
    const active = await timed('paid to active', () =>
      waitFor(client, ordered.id, (contract) => contract.state === 'active'),
    );
    const { access } = active;
    if (access === null) throw new Error('the contract is active but shows no access');
    const output = await timed('ssh', () => sshRun(identity, access, 'echo "hello from $USER"'));
    const paidToSshMs = Math.round((performance.now() - paidAt) * 10) / 10;
    await timed('cancel', () => client.post(`/api/v1/contracts/${ordered.id}/cancel`, {}));
    const released = await timed('released', () =>
      waitFor(
        client,
        ordered.id,
        (contract) => contract.release === 'released' && contract.payment.status !== 'succeeded',
      ),
    );
    return {
      contract_id: ordered.id,
      offering: offering.title,
      total: formatMoney(fromWire(ordered.total)),
      ssh_command: access.ssh_command,
      host_key_fingerprint: access.host_key_fingerprint,
      command_output: output.trim(),
      paid_to_ssh_ms: paidToSshMs,
      stages,
      coordinator_stages: released.stages,
      refunded: released.refunded === null ? 'nothing' : formatMoney(fromWire(released.refunded)),
      instance_gone: !(await answers(access.host, access.port)),
      released: released.release === 'released',
    };
  } finally {
    identity.remove();
  }
}

async function cheapestOffering(client: ApiClient): Promise<WireOffering> {
  const { items } = await client.get<{ items: WireOffering[] }>('/api/v1/offerings?in_stock=true&limit=200');
  const price = (offering: WireOffering): bigint => BigInt(offering.price_per_hour.amount_e9s);
  const [cheapest] = items.sort((a, b) => (price(a) < price(b) ? -1 : 1));
  if (cheapest === undefined)
    throw new Error('No offering is in stock. Is the agent running? Start the demo with: npm start');
  return cheapest;
}

/** Waits on the contract's stream until `done`. Throws when the contract ends otherwise, or after `timeoutMs`. */
export async function waitFor(
  client: ApiClient,
  contractId: string,
  done: (contract: WireContract) => boolean,
  timeoutMs = STAGE_TIMEOUT_MS,
): Promise<WireContract> {
  const stop = new AbortController();
  const timer = setTimeout(() => {
    stop.abort(new Error(`the contract did not get there within ${String(timeoutMs / 1000)} s`));
  }, timeoutMs);
  try {
    for await (const event of client.events(`/api/v1/contracts/${contractId}/events`, stop.signal)) {
      const contract = event.data as WireContract;
      if (done(contract)) return contract;
      if (contract.state === 'failed' || contract.state === 'rejected') {
        throw new Error(
          `the contract is ${contract.state}: ${contract.last_error?.detail ?? 'no reason given'}`,
        );
      }
    }
    throw stop.signal.reason;
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

/** Whether anything accepts connections there, after giving it a moment to go. */
async function answers(host: string, port: number): Promise<boolean> {
  for (let attempt = 0; attempt < 10; attempt += 1) {
    const accepted = await new Promise<boolean>((resolve) => {
      const socket = connect({ host, port });
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => {
        resolve(false);
      });
    });
    if (!accepted) return false;
    await delay(50);
  }
  return true;
}
