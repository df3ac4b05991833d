/** Sets a market up in a coordinator that has just been made: providers, pools, offerings, agents, renters. */
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { AGENT_PERMISSIONS, signDelegation, signGrant } from '@dc/shared/delegation/delegation';
import { grantAdmin } from '../../coordinator/src/admin/admin-reports.ts';
import { createTestClient, type TestClient } from '../../coordinator/src/testing/test-client.ts';
import type { CoordinatorNode } from './coordinator-node.ts';
import { keyOf } from './renter.ts';
import { PUBLIC_URL } from './signed-calls.ts';
import type { World } from './world.ts';

/** A provider with one pool and one offering. */
export interface Provider {
  readonly key: SigningKey;
  readonly poolId: string;
  readonly offeringId: string;
}

/** Makes accounts and what hangs on them, over a network without faults. */
export class Market {
  readonly #world: World;
  readonly #coordinator: CoordinatorNode;
  readonly #client: TestClient;

  constructor(world: World, coordinator: CoordinatorNode) {
    this.#world = world;
    this.#coordinator = coordinator;
    const { life } = coordinator;
    if (life === null) throw new Error('the coordinator has to run');
    const random = world.dice.fork('market');
    this.#client = createTestClient(life.app, { publicUrl: PUBLIC_URL, clock: coordinator.clock, random });
  }

  async account(name: string): Promise<SigningKey> {
    const key = keyOf(name);
    await this.#post('/accounts', { public_key: key.publicKey, username: name }, key, 201);
    return key;
  }

  /** Somebody who may pause contracts. */
  async admin(name: string): Promise<SigningKey> {
    const key = await this.account(name);
    const { context } = this.#coordinator.life ?? {};
    if (context !== undefined) await grantAdmin(context.db, key.publicKey);
    return key;
  }

  async provider(name: string, places: number): Promise<Provider> {
    const key = await this.account(name);
    await this.#post('/providers', { name }, key, 201);
    const base = `/providers/${key.publicKey}`;
    const { id: poolId } = await this.#post(`${base}/pools`, { name: 'a pool', country: 'DE' }, key, 201);
    const offering = {
      title: 'Small server',
      pool_id: poolId,
      cpu: 1,
      memory_mb: 1024,
      disk_gb: 10,
      country: 'DE',
      operating_systems: ['debian-12'],
      price_per_hour: { amount_e9s: '10000001', currency: 'USD' },
      setup_fee: { amount_e9s: this.#world.dice.chance(0.5) ? '0' : '3333333', currency: 'USD' },
      min_hours: 1,
      max_hours: 24,
      places,
    };
    const { id: offeringId } = await this.#post(`${base}/offerings`, offering, key, 201);
    return { key, poolId, offeringId };
  }

  async agent(name: string, provider: Provider): Promise<SigningKey> {
    const [key, setupKey] = [keyOf(name), keyOf(`setup ${name}`)];
    const nowS = Math.floor(this.#coordinator.clock.now() / 1000);
    const { key: providerKey, poolId } = provider;
    const grant = signGrant(
      {
        iss: providerKey.publicKey,
        sub: setupKey.publicKey,
        coordinator_key: this.#coordinator.life?.context.key.publicKey ?? '',
        pool_id: poolId,
        permissions: [...AGENT_PERMISSIONS],
        iat: nowS,
        exp: nowS + 3600,
        delegation_exp: null,
      },
      providerKey,
    );
    await this.#post(`/providers/${providerKey.publicKey}/setup-grants`, { grant }, providerKey, 201);
    const delegation = signDelegation(grant, key.publicKey, nowS, setupKey);
    await this.#post('/agents/register', { delegation, label: name }, key, 200);
    return key;
  }

  async #post(path: string, body: object, key: SigningKey, status: number): Promise<{ id: string }> {
    const answer = await this.#client.post<{ id: string }>(path, body, { key });
    if (answer.status !== status) throw new Error(`${path} answered ${answer.text}`);
    return answer.body;
  }
}
