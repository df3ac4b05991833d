/** Registers agents for benchmarks by the calls that `dc-agent setup` makes, and has each lease a paid contract. */
import { randomBytes, randomUUID } from 'node:crypto';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { AGENT_PERMISSIONS, signDelegation, signGrant } from '@dc/shared/delegation/delegation';
import { CHAIN_START } from '@dc/shared/evidence/record';
import type { WireLease, WireRegistration } from '@dc/shared/wire/agent';
import type { WireContract } from '@dc/shared/wire/contract';
import type { WireOffering } from '@dc/shared/wire/offering';
import { ApiClient } from '../api-client.ts';
import type { ChainEnd } from './record-load.ts';

// RFC 8032, test 1: any sound key will do, nobody logs in.
const SSH_KEY = Buffer.concat([
  Buffer.from('0000000b7373682d6564323535313900000020', 'hex'),
  Buffer.from('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'hex'),
]);

const HOUR_S = 3600;

/** Makes `count` agents in a pool of their own, each with one contract. Their chains are empty. */
export async function prepareAgents(
  provider: ApiClient,
  coordinatorKey: string,
  count: number,
): Promise<ChainEnd[]> {
  const base = `/api/v1/providers/${provider.key.publicKey}`;
  const { id: poolId } = await provider.post<{ id: string }>(`${base}/pools`, {
    name: 'Bench',
    country: 'DE',
  });
  const offering = await provider.post<WireOffering>(`${base}/offerings`, offeringOf(poolId, count));
  const agents = Array.from({ length: count }, () => randomBytes(32));
  const environments = await Promise.all(
    agents.map((seed) =>
      register(provider, { coordinatorKey, poolId }, new ApiClient(provider.baseUrl, seed)),
    ),
  );
  const renter = new ApiClient(provider.baseUrl);
  await renter.post('/api/v1/accounts', { public_key: renter.key.publicKey });
  await Promise.all(agents.map(() => rent(renter, offering.id)));
  return Promise.all(
    agents.map(async (seed, index) => {
      const agent = new ApiClient(provider.baseUrl, seed);
      const { leases } = await agent.post<{ leases: WireLease[] }>('/api/v1/agents/work/lease', { max: 1 });
      const contractId = leases[0]?.contract_id;
      if (contractId === undefined) throw new Error('an agent of the benchmark got no contract');
      return {
        seed: seed.toString('hex'),
        contractId,
        environment: environments[index] ?? '',
        seq: 0,
        prev: CHAIN_START,
      };
    }),
  );
}

const usd = (amount_e9s: string) => ({ amount_e9s, currency: 'USD' });

/** What a benchmark sells. */
export const offeringOf = (poolId: string, places: number) => ({
  ...{ title: 'Bench', pool_id: poolId, cpu: 1, memory_mb: 512, disk_gb: 5, country: 'DE', places },
  ...{ operating_systems: ['none'], min_hours: 1, max_hours: 24 },
  ...{ price_per_hour: usd('1000000'), setup_fee: usd('0') },
});

/** Grants one agent a place in the pool, registers its key and sends its first heartbeat. Returns the environment. */
export async function register(
  provider: ApiClient,
  { coordinatorKey, poolId }: { coordinatorKey: string; poolId: string },
  agent: ApiClient,
): Promise<string> {
  const setupKey = SigningKey.fromSeed(randomBytes(32));
  const nowS = Math.floor(Date.now() / 1000);
  const grant = signGrant(
    {
      ...{
        iss: provider.key.publicKey,
        sub: setupKey.publicKey,
        coordinator_key: coordinatorKey,
        pool_id: poolId,
      },
      ...{
        permissions: [...AGENT_PERMISSIONS],
        iat: nowS,
        exp: nowS + HOUR_S,
        delegation_exp: nowS + HOUR_S,
      },
    },
    provider.key,
  );
  await provider.post(`/api/v1/providers/${provider.key.publicKey}/setup-grants`, { grant });
  const delegation = signDelegation(grant, agent.key.publicKey, nowS, setupKey);
  const { environment } = await agent.post<WireRegistration>('/api/v1/agents/register', { delegation });
  await agent.post('/api/v1/agents/heartbeat', {
    ...{ version: 'bench', running_contracts: [], healthy: true },
    capacity: { cpu: 64, memory_mb: 65_536, disk_gb: 1000, instances: 100 },
  });
  return environment;
}

/** Rents one, paid at once. */
export async function rent(renter: ApiClient, offeringId: string): Promise<WireContract> {
  const order = {
    ...{ offering_id: offeringId, duration_hours: 1, payment_method: 'test' },
    ssh_public_key: `ssh-ed25519 ${SSH_KEY.toString('base64')}`,
  };
  return renter.post<WireContract>('/api/v1/contracts', order, { 'idempotency-key': randomUUID() });
}
