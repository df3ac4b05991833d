/** Sets a demonstration provider up through the public API, as a real provider would: account, pool, offerings, token. */
import { randomBytes } from 'node:crypto';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { AGENT_PERMISSIONS, signGrant } from '@dc/shared/delegation/delegation';
import { deriveSealSecret, formatSetupToken } from '@dc/shared/delegation/setup-token';
import type { WireCreateOffering, WireOffering } from '@dc/shared/wire/offering';
import { ApiClient, ProblemError } from './api-client.ts';

const usd = (amount_e9s: string) => ({ amount_e9s, currency: 'USD' });

const SIZES: readonly Pick<
  WireCreateOffering,
  'title' | 'description' | 'cpu' | 'memory_mb' | 'disk_gb' | 'price_per_hour' | 'setup_fee' | 'places'
>[] = [
  {
    title: 'Demo S',
    description: 'A shell on this machine: for trying the whole way from rent to login.',
    cpu: 1,
    memory_mb: 1024,
    disk_gb: 10,
    price_per_hour: usd('8000000'),
    setup_fee: usd('0'),
    places: 200,
  },
  {
    title: 'Demo M',
    description: 'The same shell, with a higher price to see the refund by.',
    cpu: 2,
    memory_mb: 4096,
    disk_gb: 40,
    price_per_hour: usd('24000000'),
    setup_fee: usd('0'),
    places: 100,
  },
  {
    title: 'Demo L',
    description: 'The same shell, with a set-up fee.',
    cpu: 4,
    memory_mb: 8192,
    disk_gb: 80,
    price_per_hour: usd('55000000'),
    setup_fee: usd('500000000'),
    places: 50,
  },
];

/** What the demonstration needs of its provider. */
export interface DemoProvider {
  client: ApiClient;
  poolId: string;
  offerings: WireOffering[];
}

/** Makes provider, pool and offerings. The key must not have an account yet. */
export async function createDemoProvider(url: string, seed: Uint8Array): Promise<DemoProvider> {
  const client = new ApiClient(url, seed);
  const pubkey = client.key.publicKey;
  await client.post('/api/v1/accounts', { public_key: pubkey, username: 'demo-provider' });
  await client.post('/api/v1/providers', { name: 'Demo provider' });
  const pool = await client.post<{ id: string }>(`/api/v1/providers/${pubkey}/pools`, {
    name: 'This machine',
    country: 'DE',
  });
  const offerings: WireOffering[] = [];
  for (const size of SIZES) {
    const body: WireCreateOffering = {
      ...size,
      pool_id: pool.id,
      country: 'DE',
      operating_systems: ['Local shell'],
      min_hours: 1,
      max_hours: 720,
    };
    offerings.push(await client.post<WireOffering>(`/api/v1/providers/${pubkey}/offerings`, body));
  }
  return { client, poolId: pool.id, offerings };
}

/** Grants a setup token for one agent of the pool: an hour to use it, a year for the agent's key. */
export async function grantSetupToken(
  provider: ApiClient,
  poolId: string,
  coordinatorKey: string,
): Promise<string> {
  const seed = randomBytes(32);
  const nowS = Math.floor(Date.now() / 1000);
  const grant = signGrant(
    {
      iss: provider.key.publicKey,
      sub: SigningKey.fromSeed(seed).publicKey,
      coordinator_key: coordinatorKey,
      pool_id: poolId,
      permissions: [...AGENT_PERMISSIONS],
      iat: nowS,
      exp: nowS + 3600,
      delegation_exp: nowS + 365 * 86_400,
    },
    provider.key,
  );
  await provider.post(`/api/v1/providers/${provider.key.publicKey}/setup-grants`, { grant });
  return formatSetupToken(seed, deriveSealSecret(provider.key), provider.key.publicKey);
}

/** Whether the key has an account here already. */
export async function hasAccount(url: string, seed: Uint8Array): Promise<boolean> {
  try {
    await new ApiClient(url, seed).get('/api/v1/accounts/me');
    return true;
  } catch (error) {
    if (error instanceof ProblemError && error.problem.code === 'KEY_UNKNOWN') return false;
    throw error;
  }
}
