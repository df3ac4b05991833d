import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { signGrant, type GrantPayload } from '@dc/shared/delegation/delegation';
import type { WireProvider } from '@dc/shared/wire/offering';
import { beforeEach, describe, expect, it } from 'vitest';
import { dumpDatabase } from '../testing/dump-database.ts';
import {
  beat,
  expectStatus,
  keyOf,
  makeAccount,
  makeAgent,
  makePool,
  makeProvider,
} from '../testing/people.ts';
import type { Answer, Json } from '../testing/test-client.ts';
import { startTestCoordinator, type TestCoordinator } from '../testing/test-coordinator.ts';

let coordinator: TestCoordinator;
let provider: { key: SigningKey; poolId: string };
beforeEach(async () => {
  coordinator = await startTestCoordinator({ startsWork: false });
  provider = await makeProvider(coordinator, 'prov');
});

async function refused(call: () => Promise<Answer>): Promise<Answer> {
  const before = await dumpDatabase(coordinator.context.db.read);
  const answer = await call();
  expect(await dumpDatabase(coordinator.context.db.read)).toEqual(before);
  return answer;
}

async function view(pubkey = provider.key.publicKey): Promise<WireProvider> {
  return expectStatus(await coordinator.client.get<WireProvider>(`/providers/${pubkey}`), 200);
}

describe('a provider', () => {
  it('is an account that says so, and accepts paid contracts by itself unless it says otherwise', async () => {
    const key = await makeAccount(coordinator, 'new');
    const body = { name: 'New', auto_accept: false };
    expectStatus(await coordinator.client.post('/providers', body, { key }), 201);
    expect(await view(key.publicKey)).toEqual({
      pubkey: key.publicKey,
      name: 'New',
      auto_accept: false,
      created_at: new Date(coordinator.clock.now()).toISOString(),
      agents: [],
    });
    expect((await view()).auto_accept).toBe(true);
  });

  it('is one only once', async () => {
    const answer = await refused(() =>
      coordinator.client.post('/providers', { name: 'x' }, { key: provider.key }),
    );
    expect(answer).toMatchObject({ status: 409, body: { code: 'PROVIDER_EXISTS' } });
  });

  it('that nobody is, is not found', async () => {
    const answer = await coordinator.client.get(`/providers/${keyOf('nobody').publicKey}`);
    expect(answer).toMatchObject({ status: 404, body: { code: 'PROVIDER_NOT_FOUND' } });
    const pools = await coordinator.client.get(`/providers/${keyOf('nobody').publicKey}/pools`);
    expect(pools.body['code']).toBe('PROVIDER_NOT_FOUND');
  });
});

describe('its agents', () => {
  it('are online by their last heartbeat and by nothing else', async () => {
    const agent = await makeAgent(coordinator, provider);
    expect((await view()).agents).toMatchObject([{ online: false, last_heartbeat_at: null, version: null }]);
    await beat(coordinator, agent);
    const at = new Date(coordinator.clock.now()).toISOString();
    expect((await view()).agents).toEqual([
      {
        public_key: agent.publicKey,
        label: 'agent',
        pool_id: provider.poolId,
        online: true,
        last_heartbeat_at: at,
        version: '0.0.0-test',
        draining: false,
        healthy: true,
        maintenance_until: null,
        evidence: { records: 0, gap_from_seq: null, fork_at_seq: null },
      },
    ]);
    coordinator.clock.jump(49_999);
    expect((await view()).agents[0]?.online).toBe(true);
    coordinator.clock.jump(1);
    expect((await view()).agents[0]?.online).toBe(false);
  });

  it.each(['revoked_at', 'expires_at'] as const)(
    'are not online with %s, but still shown',
    async (column) => {
      const agent = await makeAgent(coordinator, provider);
      await beat(coordinator, agent);
      await coordinator.context.db.write((trx) =>
        trx
          .updateTable('agents')
          .set({ [column]: coordinator.clock.now() })
          .execute(),
      );
      expect((await view()).agents).toMatchObject([{ public_key: agent.publicKey, online: false }]);
    },
  );

  it('are shown with the faults of their evidence', async () => {
    const agent = await makeAgent(coordinator, provider);
    await coordinator.context.db.write((trx) =>
      trx
        .insertInto('chain_faults')
        .values({ agent_key: agent.publicKey, gap_from_seq: 3, fork_at_seq: 2 })
        .execute(),
    );
    expect((await view()).agents[0]?.evidence).toEqual({ records: 0, gap_from_seq: 3, fork_at_seq: 2 });
  });
});

describe('its pools', () => {
  it('are listed page by page, oldest first', async () => {
    const ids = [provider.poolId];
    for (let count = 0; count < 4; count += 1) {
      coordinator.clock.jump(1);
      ids.push(await makePool(coordinator, provider.key));
    }
    const path = `/providers/${provider.key.publicKey}/pools`;
    const seen: string[] = [];
    let cursor: string | null = null;
    const sizes: number[] = [];
    do {
      const query: string = cursor === null ? '?limit=2' : `?limit=2&cursor=${cursor}`;
      const page = await coordinator.client.get<{ items: { id: string }[]; next_cursor: string | null }>(
        path + query,
      );
      sizes.push(page.body.items.length);
      seen.push(...page.body.items.map(({ id }) => id));
      cursor = page.body.next_cursor;
    } while (cursor !== null);
    expect(sizes).toEqual([2, 2, 1]);
    expect(seen).toEqual(ids);
  });
});

describe('a setup grant', () => {
  const nowS = (): number => Math.floor(coordinator.clock.now() / 1000);
  const payload = (change: Partial<GrantPayload> = {}): GrantPayload => ({
    iss: provider.key.publicKey,
    sub: keyOf('setup').publicKey,
    coordinator_key: coordinator.context.key.publicKey,
    pool_id: provider.poolId,
    permissions: ['heartbeat', 'provision'],
    iat: nowS(),
    exp: nowS() + 3600,
    delegation_exp: null,
    ...change,
  });
  const handIn = (grant: string, key = provider.key, owner = provider.key): Promise<Answer> =>
    coordinator.client.post(`/providers/${owner.publicKey}/setup-grants`, { grant }, { key });

  it('is kept, and read by whoever holds the token', async () => {
    const grant = signGrant(payload(), provider.key);
    const expected: Json = {
      grant,
      setup_key: keyOf('setup').publicKey,
      provider_pubkey: provider.key.publicKey,
      pool_id: provider.poolId,
      permissions: ['heartbeat', 'provision'],
      expires_at: new Date((nowS() + 3600) * 1000).toISOString(),
      used: false,
    };
    expect(expectStatus(await handIn(grant), 201)).toEqual(expected);
    const read = await coordinator.client.get(`/setup-grants/${keyOf('setup').publicKey}`);
    expect(expectStatus(read, 200)).toEqual(expected);
  });

  it('says when it was used', async () => {
    await makeAgent(coordinator, provider, { name: 'worker' });
    const path = `/setup-grants/${keyOf('setup token worker').publicKey}`;
    expect(expectStatus(await coordinator.client.get(path), 200)).toMatchObject({ used: true });
  });

  it('can be handed in again, but not another one for the same token', async () => {
    const grant = signGrant(payload(), provider.key);
    expectStatus(await handIn(grant), 201);
    expectStatus(await handIn(grant), 201);
    const other = signGrant(payload({ permissions: ['dns_manage'] }), provider.key);
    expect(await refused(() => handIn(other))).toMatchObject({ status: 409, body: { code: 'GRANT_USED' } });
  });

  it.each([
    ['an issuer that did not sign', 'GRANT_INVALID', { iss: keyOf('other').publicKey }],
    ['another coordinator', 'GRANT_INVALID', { coordinator_key: keyOf('other').publicKey }],
    ['no permissions', 'GRANT_INVALID', { permissions: [] }],
    ['a pool that is not theirs', 'POOL_NOT_FOUND', { pool_id: '01900000-0000-7000-8000-000000000000' }],
    ['a token key of small order', 'KEY_WEAK', { sub: `01${'00'.repeat(31)}` }],
  ] as [string, string, Partial<GrantPayload>][])('with %s is refused', async (_, code, change) => {
    const answer = await refused(() => handIn(signGrant(payload(change), provider.key)));
    expect(answer.body['code']).toBe(code);
  });

  it('is refused once it has expired, or where it lasts longer than seven days', async () => {
    const cases = [
      [{ exp: nowS() }, 'GRANT_EXPIRED'],
      [{ delegation_exp: nowS() }, 'GRANT_EXPIRED'],
      [{ exp: nowS() + 7 * 86_400 + 1 }, 'GRANT_INVALID'],
    ] as const;
    for (const [change, code] of cases) {
      const answer = await refused(() => handIn(signGrant(payload(change), provider.key)));
      expect(answer.body['code']).toBe(code);
    }
    expectStatus(await handIn(signGrant(payload({ exp: nowS() + 7 * 86_400 }), provider.key)), 201);
  });

  it('is refused with one flipped letter', async () => {
    const grant = signGrant(payload(), provider.key);
    const flipped = grant.slice(0, -3) + (grant.at(-3) === 'A' ? 'B' : 'A') + grant.slice(-2);
    expect((await refused(() => handIn(flipped))).body['code']).toBe('GRANT_INVALID');
  });

  it('is refused from another provider, for its own path and for this one', async () => {
    const other = await makeProvider(coordinator, 'other');
    const grant = signGrant(payload(), provider.key);
    expect((await refused(() => handIn(grant, other.key))).body['code']).toBe('PERMISSION_DENIED');
    expect((await refused(() => handIn(grant, other.key, other.key))).body['code']).toBe('GRANT_INVALID');
  });

  it('is refused once the key that signed it was revoked', async () => {
    const second = keyOf('second');
    await coordinator.context.db.write(async (trx) => {
      const row = {
        public_key: second.publicKey,
        account_pubkey: provider.key.publicKey,
        label: '',
        added_at: 1,
      };
      await trx
        .insertInto('account_keys')
        .values({ ...row, revoked_at: null })
        .execute();
      await trx
        .updateTable('account_keys')
        .set({ revoked_at: 1 })
        .where('public_key', '=', provider.key.publicKey)
        .execute();
    });
    const grant = signGrant(payload(), provider.key);
    expect((await refused(() => handIn(grant, second))).body['code']).toBe('KEY_REVOKED');
  });

  it('that is not there is not found', async () => {
    const answer = await coordinator.client.get(`/setup-grants/${keyOf('nobody').publicKey}`);
    expect(answer).toMatchObject({ status: 404, body: { code: 'GRANT_NOT_FOUND' } });
  });
});
