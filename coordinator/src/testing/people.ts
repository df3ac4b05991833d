/** The people of a test: renters, providers with a pool, agents and offerings, made through the public API. */
import { createHash } from 'node:crypto';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import {
  AGENT_PERMISSIONS,
  signDelegation,
  signGrant,
  type AgentPermission,
} from '@dc/shared/delegation/delegation';
import type { WireHeartbeat } from '@dc/shared/wire/agent';
import type { WireAccount } from '@dc/shared/wire/account';
import type { WireCreateOffering, WireOffering } from '@dc/shared/wire/offering';
import type { Answer } from './test-client.ts';
import type { TestCoordinator } from './test-coordinator.ts';

/** The same key for the same name. */
export const keyOf = (name: string): SigningKey =>
  SigningKey.fromSeed(createHash('sha256').update(`test key ${name}`).digest());

/** The body, or a failure that shows the whole answer. */
export function expectStatus<Body>(answer: Answer<Body>, status: number): Body {
  if (answer.status !== status)
    throw new Error(`expected ${String(status)}, got ${String(answer.status)}: ${answer.text}`);
  return answer.body;
}

/** Registers an account whose key and username come from `name`. */
export async function makeAccount(coordinator: TestCoordinator, name: string): Promise<SigningKey> {
  const key = keyOf(name);
  const body = { public_key: key.publicKey, username: name };
  expectStatus(await coordinator.client.post<WireAccount>('/accounts', body, { key }), 201);
  return key;
}

/** Registers a provider and its first pool. */
export async function makeProvider(
  coordinator: TestCoordinator,
  name: string,
): Promise<{ key: SigningKey; poolId: string }> {
  const key = await makeAccount(coordinator, name);
  expectStatus(await coordinator.client.post('/providers', { name }, { key }), 201);
  return { key, poolId: await makePool(coordinator, key) };
}

export async function makePool(
  coordinator: TestCoordinator,
  key: SigningKey,
  country = 'DE',
): Promise<string> {
  const path = `/providers/${key.publicKey}/pools`;
  const pool = await coordinator.client.post<{ id: string }>(path, { name: 'a pool', country }, { key });
  return expectStatus(pool, 201).id;
}

/** What a test's offering is unless it says otherwise: 0.01 USD an hour. */
export const anOffering = (poolId: string, change: Partial<WireCreateOffering> = {}): WireCreateOffering => ({
  title: 'Small server',
  pool_id: poolId,
  cpu: 2,
  memory_mb: 4096,
  disk_gb: 40,
  country: 'DE',
  operating_systems: ['debian-12'],
  price_per_hour: { amount_e9s: '10000000', currency: 'USD' },
  setup_fee: { amount_e9s: '0', currency: 'USD' },
  min_hours: 1,
  max_hours: 720,
  places: 10,
  ...change,
});

export async function makeOffering(
  coordinator: TestCoordinator,
  provider: { key: SigningKey; poolId: string },
  change: Partial<WireCreateOffering> = {},
): Promise<WireOffering> {
  const path = `/providers/${provider.key.publicKey}/offerings`;
  const body = anOffering(provider.poolId, change);
  return expectStatus(await coordinator.client.post<WireOffering>(path, body, { key: provider.key }), 201);
}

/** A grant and the key of its setup token. */
export interface TestGrant {
  grant: string;
  setupKey: SigningKey;
}

/** Signs a grant as the provider's tools do, without handing it in. */
export function signTestGrant(
  coordinator: TestCoordinator,
  provider: { key: SigningKey; poolId: string },
  { name = 'setup', permissions = [...AGENT_PERMISSIONS] as AgentPermission[] } = {},
): TestGrant {
  const setupKey = keyOf(`setup token ${name}`);
  const nowS = Math.floor(coordinator.clock.now() / 1000);
  const payload = {
    iss: provider.key.publicKey,
    sub: setupKey.publicKey,
    coordinator_key: coordinator.context.key.publicKey,
    pool_id: provider.poolId,
    permissions,
    iat: nowS,
    exp: nowS + 3600,
    delegation_exp: null,
  };
  return { grant: signGrant(payload, provider.key), setupKey };
}

/** Registers an agent by a setup token; it is online after `beat`. */
export async function makeAgent(
  coordinator: TestCoordinator,
  provider: { key: SigningKey; poolId: string },
  { name = 'agent', permissions = [...AGENT_PERMISSIONS] as AgentPermission[] } = {},
): Promise<SigningKey> {
  const { client, clock } = coordinator;
  const key = keyOf(name);
  const { grant, setupKey } = signTestGrant(coordinator, provider, { name, permissions });
  const path = `/providers/${provider.key.publicKey}/setup-grants`;
  expectStatus(await client.post(path, { grant }, { key: provider.key }), 201);
  const delegation = signDelegation(grant, key.publicKey, Math.floor(clock.now() / 1000), setupKey);
  expectStatus(await client.post('/agents/register', { delegation, label: name }, { key }), 200);
  return key;
}

/** The agent says that it lives. */
export async function beat(
  coordinator: TestCoordinator,
  agent: SigningKey,
  words: Partial<WireHeartbeat> = {},
): Promise<void> {
  const body = { version: '0.0.0-test', running_contracts: [], ...words };
  expectStatus(await coordinator.client.post('/agents/heartbeat', body, { key: agent }), 200);
}
