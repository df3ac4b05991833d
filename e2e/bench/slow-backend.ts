/**
 * Two hundred contracts paid at once on one agent, whose backend takes two seconds for an instance and makes eight at
 * a time: how much the coordinator and the agent add to the fifty seconds that the backend needs at best.
 */
import type { WireContract } from '@dc/shared/wire/contract';
import type { WireOffering } from '@dc/shared/wire/offering';
import { ApiClient } from '../api-client.ts';
import { waitFor } from '../rent-once.ts';
import { startSystem } from '../start-system.ts';
import { freePort, type Bench } from './bench.ts';
import { figure, type Figure } from './figure.ts';
import { rent } from './record-agents.ts';
import { AT_A_TIME, CREATE_MS } from './slow-agent.ts';
import { NO_RATE_LIMITS } from './without-limits.ts';

const CONTRACTS = 200;
/** A renter may have so many streams open. */
const CONTRACTS_PER_RENTER = 50;
const IDEAL_S = (Math.ceil(CONTRACTS / AT_A_TIME) * CREATE_MS) / 1000;

export const slowBackend: Bench = {
  name: 'slow-backend',
  about: '200 contracts paid at once; the backend takes 2 s for each and makes 8 at a time',
  async run(run) {
    run.progress('starting the system');
    const programs = { coordinator: 'coordinator/src/main.ts', agent: 'e2e/bench/slow-agent.ts' };
    const dataDir = run.folder();
    const system = await startSystem({
      ...{ port: await freePort(), dataDir, coordinatorToml: NO_RATE_LIMITS, programs },
    });
    run.onEnd(() => system.stop());
    const { items } = await new ApiClient(system.url).get<{ items: WireOffering[] }>(
      '/api/v1/offerings?in_stock=true',
    );
    const [offering] = items;
    if (offering === undefined) throw new Error('there is nothing to rent');
    const renters = await Promise.all(
      Array.from({ length: CONTRACTS / CONTRACTS_PER_RENTER }, () => arrive(system.url)),
    );
    run.progress(`${String(CONTRACTS)} at once`);
    const contracts = await Promise.all(
      renters.flatMap((renter) =>
        Array.from({ length: CONTRACTS_PER_RENTER }, async () => {
          const { id } = await rent(renter, offering.id);
          return waitFor(renter, id, ({ state }) => state === 'active', 180_000);
        }),
      ),
    );
    return describe(contracts);
  },
};

function describe(contracts: readonly WireContract[]): Figure[] {
  const firstPaidAt = Math.min(...contracts.map(({ paid_at }) => timeOf(paid_at)));
  const lastPaidAt = Math.max(...contracts.map(({ paid_at }) => timeOf(paid_at)));
  const lastActiveAt = Math.max(...contracts.map(({ active_at }) => timeOf(active_at)));
  return [
    figure('first paid → the last one is active', 's', (lastActiveAt - firstPaidAt) / 1000, {
      target: { atMost: IDEAL_S * 1.1 },
      floor: IDEAL_S,
    }),
    figure('first paid → last paid', 's', (lastPaidAt - firstPaidAt) / 1000),
  ];
}

async function arrive(url: string): Promise<ApiClient> {
  const renter = new ApiClient(url);
  await renter.post('/api/v1/accounts', { public_key: renter.key.publicKey });
  return renter;
}

const timeOf = (timestamp: string | null): number => {
  if (timestamp === null) throw new Error('the contract has not got that far');
  return Date.parse(timestamp);
};
