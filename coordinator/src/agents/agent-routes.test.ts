import { beforeEach, describe, expect, it } from 'vitest';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { newUuid } from '@dc/shared/ids';
import { AGENT_PERMISSIONS, signDelegation, signGrant } from '@dc/shared/delegation/delegation';
import type { WireHeartbeatAnswer, WireRegistration } from '@dc/shared/wire/agent';
import type { WireProvider } from '@dc/shared/wire/offering';
import { systemRandom } from '../lib/system-random.ts';
import { AgentPlayer } from '../testing/agent-player.ts';
import {
  expectStatus,
  keyOf,
  makeAccount,
  makeAgent,
  makeProvider,
  signTestGrant,
  type TestGrant,
} from '../testing/people.ts';
import { addAgent, openMarket, rent, type Market } from '../testing/rental.ts';
import type { Answer } from '../testing/test-client.ts';
import { startTestCoordinator, type TestCoordinator } from '../testing/test-coordinator.ts';

const AGENT = keyOf('agent');

describe('registering an agent', () => {
  let coordinator: TestCoordinator;
  let provider: { key: SigningKey; poolId: string };
  let token: TestGrant;
  beforeEach(async () => {
    coordinator = await startTestCoordinator();
    provider = await makeProvider(coordinator, 'prov');
    token = await grant('first');
  });

  /** A setup token whose grant the coordinator holds. */
  async function grant(name: string, change: object = {}): Promise<TestGrant> {
    const made = signTestGrant(coordinator, provider, { name });
    const compact = Object.keys(change).length === 0 ? made.grant : signChanged(made, change);
    const path = `/providers/${provider.key.publicKey}/setup-grants`;
    expectStatus(await coordinator.client.post(path, { grant: compact }, { key: provider.key }), 201);
    return { ...made, grant: compact };
  }

  function signChanged(made: TestGrant, change: object): string {
    const nowS = Math.floor(coordinator.clock.now() / 1000);
    const payload = {
      iss: provider.key.publicKey,
      sub: made.setupKey.publicKey,
      coordinator_key: coordinator.context.key.publicKey,
      pool_id: provider.poolId,
      permissions: [...AGENT_PERMISSIONS],
      iat: nowS,
      exp: nowS + 3600,
      delegation_exp: null,
      ...change,
    };
    return signGrant(payload, provider.key);
  }

  const delegate = (to = AGENT.publicKey, by: TestGrant = token): string =>
    signDelegation(by.grant, to, Math.floor(coordinator.clock.now() / 1000), by.setupKey);
  const register = (delegation: string, key = AGENT): Promise<Answer> =>
    coordinator.client.post('/agents/register', { delegation, label: 'host 1' }, { key });

  it('answers all that the agent must pin', async () => {
    const answer = await register(delegate());
    expect(expectStatus(answer, 200)).toEqual({
      agent: AGENT.publicKey,
      provider_pubkey: provider.key.publicKey,
      pool_id: provider.poolId,
      permissions: [...AGENT_PERMISSIONS],
      delegation_expires_at: null,
      coordinator_key: coordinator.context.key.publicKey,
      key_rotations: [],
      environment: 'test',
      heartbeat_interval_ms: 15_000,
    } satisfies WireRegistration);
  });

  it('again with the same delegation answers the same, even when the token has expired since', async () => {
    const delegation = delegate();
    const first = await register(delegation);
    coordinator.clock.jump(3_601_000);
    expect(await register(delegation)).toMatchObject({ status: 200, body: first.body });
  });

  it.each<[string, () => Promise<Answer>, number, string]>([
    ['a text that is no delegation', () => register('a.b.c'), 400, 'GRANT_INVALID'],
    [
      'a token that nobody granted anything',
      () => register(delegate(AGENT.publicKey, signTestGrant(coordinator, provider, { name: 'unheard' }))),
      400,
      'GRANT_INVALID',
    ],
    [
      'a delegation for another agent key',
      () => register(delegate(keyOf('other').publicKey)),
      400,
      'GRANT_INVALID',
    ],
    [
      'a delegation that the token did not sign',
      () => register(delegate(AGENT.publicKey, { ...token, setupKey: provider.key })),
      400,
      'GRANT_INVALID',
    ],
    [
      'a delegation under another grant of the same token',
      () => register(delegate(AGENT.publicKey, { ...token, grant: signChanged(token, { permissions: [] }) })),
      400,
      'GRANT_INVALID',
    ],
  ])('with %s is refused', async (_, call, status, code) => {
    expect(await call()).toMatchObject({ status, body: { code } });
    expect((await register(delegate())).status).toBe(200);
  });

  it('uses the token up', async () => {
    await register(delegate());
    const second = keyOf('second');
    expect(await register(delegate(second.publicKey), second)).toMatchObject({
      status: 409,
      body: { code: 'GRANT_USED' },
    });
  });

  it('by two agents with one token at the same time works for one', async () => {
    const keys = ['a', 'b', 'c'].map(keyOf);
    const answers = await Promise.all(keys.map((key) => register(delegate(key.publicKey), key)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409]);
  });

  it('with a token that has expired is refused', async () => {
    coordinator.clock.jump(3_600_000);
    expect(await register(delegate())).toMatchObject({ status: 409, body: { code: 'GRANT_EXPIRED' } });
  });

  it('for a delegation that has expired is refused, and does not use the token up', async () => {
    const nowS = Math.floor(coordinator.clock.now() / 1000);
    const short = await grant('short', { delegation_exp: nowS + 60 });
    coordinator.clock.jump(60_000);
    expect(await register(delegate(AGENT.publicKey, short))).toMatchObject({
      body: { code: 'GRANT_EXPIRED' },
    });
  });

  it('never moves a key to another provider', async () => {
    await register(delegate());
    const rival = await makeProvider(coordinator, 'rival');
    const made = signTestGrant(coordinator, rival, { name: 'rivals' });
    const path = `/providers/${rival.key.publicKey}/setup-grants`;
    expectStatus(await coordinator.client.post(path, { grant: made.grant }, { key: rival.key }), 201);
    expect(await register(delegate(AGENT.publicKey, made))).toMatchObject({
      status: 409,
      body: { code: 'AGENT_KEY_TAKEN' },
    });
  });

  it('of a key that is an account is refused', async () => {
    const account = await makeAccount(coordinator, 'somebody');
    expect(await register(delegate(account.publicKey), account)).toMatchObject({
      status: 409,
      body: { code: 'AGENT_KEY_TAKEN' },
    });
  });
});

describe('an agent', () => {
  let market: Market;
  let agent: AgentPlayer;
  beforeEach(async () => {
    market = await openMarket({ offering: { places: 200 } });
    ({ agent } = market);
  });

  const heartbeat = (body: object = {}): Promise<Answer<WireHeartbeatAnswer>> =>
    market.coordinator.client.post(
      '/agents/heartbeat',
      { version: '1.2.3', running_contracts: [], ...body },
      { key: agent.key },
    );
  const provider = async (): Promise<WireProvider> => {
    const path = `/providers/${market.provider.key.publicKey}`;
    return expectStatus(await market.coordinator.client.get<WireProvider>(path), 200);
  };
  const revoke = (): Promise<Answer> =>
    market.coordinator.client.delete(
      `/providers/${market.provider.key.publicKey}/agents/${agent.key.publicKey}`,
      { key: market.provider.key },
    );

  it('learns from its heartbeat what the coordinator knows of it', async () => {
    const { clock } = market.coordinator;
    await rent(market);
    await rent(market);
    await agent.report('health', (await rent(market)).id);
    expect(expectStatus(await heartbeat(), 200)).toEqual({
      server_time: new Date(clock.now()).toISOString(),
      next_interval_ms: 15_000,
      open_work: 3,
      records_held: 1,
      key_rotations: 0,
    });
  });

  it('is online for as long as its heartbeats come', async () => {
    await heartbeat();
    expect((await provider()).agents).toMatchObject([{ online: true, version: '1.2.3' }]);
    market.coordinator.clock.jump(50_000);
    expect((await provider()).agents).toMatchObject([{ online: false }]);
    await heartbeat();
    expect((await provider()).agents).toMatchObject([{ online: true }]);
  });

  it('may run 10,000 contracts and still say so', async () => {
    const { clock } = market.coordinator;
    const ids = Array.from({ length: 10_001 }, () => newUuid(clock, systemRandom));
    expect((await heartbeat({ running_contracts: ids.slice(1) })).status).toBe(200);
    expect(await heartbeat({ running_contracts: ids })).toMatchObject({
      status: 400,
      body: { code: 'REQUEST_INVALID' },
    });
  });

  it('that is revoked is heard no more, at once, though its records stay readable', async () => {
    const { id } = await rent(market);
    const lease = await agent.leaseOne();
    await agent.report('health', id);
    expect((await revoke()).status).toBe(204);
    const refused = { status: 401, body: { code: 'KEY_REVOKED' } };
    expect(await heartbeat()).toMatchObject(refused);
    expect(await agent.renew(lease)).toMatchObject(refused);
    expect(await agent.send([agent.sign('provisioned', id)])).toMatchObject(refused);
    expect((await provider()).agents).toMatchObject([{ online: false, evidence: { records: 1 } }]);
    market.coordinator.clock.jump(1000);
    expect((await revoke()).status).toBe(204);
  });

  it('is revoked by nobody but its provider', async () => {
    const { client } = market.coordinator;
    const rival = await makeProvider(market.coordinator, 'rival');
    const path = (of: string) => `/providers/${of}/agents/${agent.key.publicKey}`;
    const { publicKey } = market.provider.key;
    expect(await client.delete(path(publicKey), { key: rival.key })).toMatchObject({ status: 403 });
    expect(await client.delete(path(rival.key.publicKey), { key: rival.key })).toMatchObject({
      status: 404,
      body: { code: 'AGENT_NOT_FOUND' },
    });
    expect(await client.delete(path(publicKey), { key: agent.key })).toMatchObject({ status: 403 });
    expect((await heartbeat()).status).toBe(200);
  });

  it('does only what its delegation lists', async () => {
    const { client } = market.coordinator;
    const key = await makeAgent(market.coordinator, market.provider, {
      name: 'watcher',
      permissions: ['heartbeat', 'fetch_contracts'],
    });
    const watcher = new AgentPlayer(market.coordinator, key);
    await watcher.beat();
    const { id } = await rent(market);
    expect(await client.get(`/contracts/${id}`, { key })).toMatchObject({ status: 200 });
    const denied = {
      status: 403,
      body: { code: 'PERMISSION_DENIED', detail: expect.stringContaining('agent:provision') as string },
    };
    expect(await client.post('/agents/work/lease', {}, { key })).toMatchObject(denied);
    expect(await watcher.send([watcher.sign('health', id)])).toMatchObject(denied);
    const health = await client.post(
      `/contracts/${id}/health`,
      { record: watcher.sign('health', id) },
      { key },
    );
    expect(health).toMatchObject({ status: 403 });
  });

  it('whose delegation has run out is refused from that second on', async () => {
    const { clock } = market.coordinator;
    const other = await addAgent(market, 'other');
    await market.coordinator.context.db.write((trx) =>
      trx
        .updateTable('agents')
        .set({ expires_at: clock.now() + 1000 })
        .where('public_key', '=', other.key.publicKey)
        .execute(),
    );
    await other.beat();
    clock.jump(1000);
    await expect(other.beat()).rejects.toThrow(/KEY_REVOKED/);
  });
});
