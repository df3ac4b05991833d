import { beforeEach, describe, expect, it } from 'vitest';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import type { WireContract } from '@dc/shared/wire/contract';
import { dumpDatabase } from '../testing/dump-database.ts';
import { expectStatus, keyOf, makeAccount } from '../testing/people.ts';
import {
  addAgent,
  atPrivateAddress,
  cancel,
  look,
  openMarket,
  rent,
  rentAndLease,
  rentUntilActive,
  sshKeyOf,
  tryToRent,
  type Market,
} from '../testing/rental.ts';
import type { Answer } from '../testing/test-client.ts';
import { startTestCoordinator } from '../testing/test-coordinator.ts';

const UNKNOWN = '01993b5e-0000-7000-8000-000000000000';

let market: Market;
beforeEach(async () => {
  market = await openMarket({
    offering: { min_hours: 2, max_hours: 100, operating_systems: ['debian-12', 'ubuntu-24.04'] },
  });
});

/** The answer to a call that must change nothing. */
async function refused<Body>(call: () => Promise<Answer<Body>>): Promise<Answer<Body>> {
  const { read } = market.coordinator.context.db;
  const before = await dumpDatabase(read);
  const answer = await call();
  expect(await dumpDatabase(read)).toEqual(before);
  return answer;
}

describe('renting', () => {
  it.each([
    ['zero hours', { duration_hours: 0 }, 400, 'REQUEST_INVALID'],
    ['negative hours', { duration_hours: -1 }, 400, 'REQUEST_INVALID'],
    ['half an hour', { duration_hours: 2.5 }, 400, 'REQUEST_INVALID'],
    ['hours as a text', { duration_hours: '10' as never }, 400, 'REQUEST_INVALID'],
    ['more hours than there are', { duration_hours: 1e300 }, 400, 'REQUEST_INVALID'],
    ['fewer hours than the offering is for', { duration_hours: 1 }, 400, 'DURATION_OUT_OF_RANGE'],
    ['more hours than the offering is for', { duration_hours: 101 }, 400, 'DURATION_OUT_OF_RANGE'],
    ['an offering that is not there', { offering_id: UNKNOWN }, 404, 'OFFERING_NOT_FOUND'],
    ['an offering by no id', { offering_id: '1' }, 400, 'REQUEST_INVALID'],
    ['an unknown operating system', { operating_system: 'windows-95' }, 400, 'OPERATING_SYSTEM_UNKNOWN'],
    ['an unknown payment method', { payment_method: 'barter' }, 400, 'PAYMENT_METHOD_UNKNOWN'],
    ['a payment method by a trick', { payment_method: '__proto__' }, 400, 'PAYMENT_METHOD_UNKNOWN'],
    ['no SSH key', { ssh_public_key: '' }, 400, 'SSH_KEY_INVALID'],
    ['a weak SSH key', { ssh_public_key: 'ssh-dss AAAAB3NzaC1kc3M=' }, 400, 'SSH_KEY_INVALID'],
    ['a private key', { ssh_public_key: '-----BEGIN OPENSSH PRIVATE KEY-----' }, 400, 'SSH_KEY_INVALID'],
    ['two SSH keys', { ssh_public_key: `${sshKeyOf('a')}\n${sshKeyOf('b')}` }, 400, 'SSH_KEY_INVALID'],
    ['an unknown field', { price: 0 } as never, 400, 'REQUEST_INVALID'],
  ])('for %s is refused, and nothing is charged', async (_, change, status, code) => {
    const answer = await refused(() => tryToRent(market, change));
    expect(answer).toMatchObject({ status, body: { code, remedy: expect.any(String) as string } });
  });

  it('says what there is instead', async () => {
    const detailOf = async (change: object) =>
      ((await tryToRent(market, change)).body as unknown as { detail: string }).detail;
    expect(await detailOf({ duration_hours: 101 })).toContain('2 to 100 hours');
    expect(await detailOf({ operating_system: 'x' })).toContain('debian-12, ubuntu-24.04');
    expect(await detailOf({ payment_method: 'x' })).toContain('test');
  });

  it('keeps the SSH key without its comment, and takes the first operating system unless told', async () => {
    const ssh_public_key = `  ${sshKeyOf('renter')} me@home  `;
    const { id } = await rent(market, { ssh_public_key });
    expect(await look(market, id)).toMatchObject({ operating_system: 'debian-12' });
    const row = await market.coordinator.context.db.read
      .selectFrom('contracts')
      .select('ssh_public_key')
      .executeTakeFirstOrThrow();
    expect(row.ssh_public_key).toBe(sshKeyOf('renter'));
    expect(await rent(market, { operating_system: 'ubuntu-24.04' })).toMatchObject({
      operating_system: 'ubuntu-24.04',
    });
  });

  it('is refused where no payment method is offered', async () => {
    const coordinator = await startTestCoordinator({ config: { payments: { test: false } } });
    const other = await openMarket({ coordinator });
    expect(await tryToRent(other)).toMatchObject({
      status: 400,
      body: { code: 'PAYMENT_METHOD_UNKNOWN', detail: 'Payment methods offered here: none at present.' },
    });
  });

  it('needs an account', async () => {
    expect(await tryToRent(market, {}, { key: market.agent.key })).toMatchObject({ status: 403 });
    expect(await tryToRent(market, {}, { key: keyOf('nobody') })).toMatchObject({ status: 401 });
    const unsigned = { headers: { signature: undefined, 'signature-input': undefined } };
    expect(await tryToRent(market, {}, unsigned)).toMatchObject({
      status: 401,
      body: { code: 'AUTH_REQUIRED' },
    });
  });

  it('with one Idempotency-Key makes one contract, however often and however fast it is asked', async () => {
    const options = { idempotencyKey: 'order-1' };
    const answers = await Promise.all(Array.from({ length: 5 }, () => tryToRent(market, {}, options)));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(answers[0]).toMatchObject({ status: 201, body: { state: 'accepted' } });
    expect(await tryToRent(market, { duration_hours: 11 }, options)).toMatchObject({
      status: 409,
      body: { code: 'IDEMPOTENCY_MISMATCH' },
    });
    const list = await market.coordinator.client.get<{ items: unknown[] }>('/contracts', {
      key: market.renter,
    });
    expect(list.body.items).toHaveLength(1);
  });

  it('that was refused can be tried again with the same Idempotency-Key', async () => {
    market.coordinator.clock.jump(60_000);
    expect(await tryToRent(market, {}, { idempotencyKey: 'k' })).toMatchObject({ status: 409 });
    await market.agent.beat();
    expect(await tryToRent(market, {}, { idempotencyKey: 'k' })).toMatchObject({ status: 201 });
  });
});

describe('a recipe', () => {
  it('can be named only as none, because there are none', async () => {
    expect(await tryToRent(market, { recipe_version_id: null })).toMatchObject({ status: 201 });
    const some = await refused(() => tryToRent(market, { recipe_version_id: UNKNOWN as never }));
    expect(some).toMatchObject({
      status: 400,
      body: {
        errors: [
          {
            pointer: '/recipe_version_id',
            detail: 'nothing can be chosen here yet: leave it out, or send null',
          },
        ],
      },
    });
  });
});

describe('a contract', () => {
  let stranger: SigningKey;
  let id: string;
  beforeEach(async () => {
    stranger = await makeAccount(market.coordinator, 'stranger');
    ({ id } = await rentAndLease(market));
  });

  it.each([
    ['read', 'GET', ''],
    ['followed', 'GET', '/events'],
    ['checked for its health', 'GET', '/health'],
    ['cancelled', 'POST', '/cancel'],
  ])('cannot be %s by a stranger, to whom it is like one that is not there', async (_, method, path) => {
    const { client } = market.coordinator;
    const body = method === 'POST' ? {} : undefined;
    const ask = (contract: string) =>
      refused(() => client.call(method, `/contracts/${contract}${path}`, body, { key: stranger }));
    const [real, unknown] = [await ask(id), await ask(UNKNOWN)];
    expect(real).toMatchObject({ status: 404, body: { code: 'CONTRACT_NOT_FOUND' } });
    const withoutTrace = ({ body: problem }: Answer) => ({ ...problem, trace_id: '' });
    expect(withoutTrace(real as Answer)).toEqual(withoutTrace(unknown as Answer));
  });

  it('can be read by its renter, its provider and its agent, and by nobody without a name', async () => {
    const { client } = market.coordinator;
    const another = await makeAccount(market.coordinator, 'other-provider');
    expectStatus(await client.post('/providers', { name: 'other' }, { key: another }), 201);
    for (const key of [market.renter, market.provider.key, market.agent.key])
      expect(await client.get(`/contracts/${id}`, { key })).toMatchObject({ status: 200, body: { id } });
    expect(await client.get(`/contracts/${id}`, { key: another })).toMatchObject({ status: 404 });
    expect(await client.get(`/contracts/${id}`)).toMatchObject({ status: 401 });
  });

  it('cannot be read by an agent of another pool', async () => {
    const { client } = market.coordinator;
    const path = `/providers/${market.provider.key.publicKey}/pools`;
    const pool = await client.post<{ id: string }>(
      path,
      { name: 'second', country: 'FR' },
      { key: market.provider.key },
    );
    const provider = { key: market.provider.key, poolId: expectStatus(pool, 201).id };
    const other = await addAgent({ coordinator: market.coordinator, provider }, 'far');
    expect(await client.get(`/contracts/${id}`, { key: other.key })).toMatchObject({ status: 404 });
  });

  it('lists its health newest first, page by page', async () => {
    const { client } = market.coordinator;
    interface Page {
      items: { seq: number }[];
      next_cursor: string | null;
    }
    const records = Array.from({ length: 5 }, () => market.agent.sign('health', id));
    expectStatus(await market.agent.send(records.slice(0, 3)), 200);
    market.coordinator.clock.jump(1);
    expectStatus(await market.agent.send(records.slice(3)), 200);
    const seen: number[][] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const query: string = cursor === '' ? '' : `&cursor=${cursor}`;
      const path = `/contracts/${id}/health?limit=2${query}`;
      const page: Page = expectStatus(await client.get<Page>(path, { key: market.renter }), 200);
      seen.push(page.items.map(({ seq }) => seq));
      cursor = page.next_cursor;
    }
    expect(seen).toEqual([[5, 4], [3, 2], [1]]);
    const wrong = await client.get(`/contracts/${id}/health?cursor=x`, { key: market.renter });
    expect(wrong).toMatchObject({ status: 400, body: { errors: [{ pointer: '/query/cursor' }] } });
  });

  it('is cancelled without a body too, and not for a reason that acts on a terminal', async () => {
    const { client } = market.coordinator;
    const path = `/contracts/${id}/cancel`;
    const rude = await refused(() => client.post(path, { reason: '\u001b[2J' }, { key: market.renter }));
    expect(rude).toMatchObject({ status: 400, body: { errors: [{ pointer: '/reason' }] } });
    const answer = await client.call('POST', path, undefined, { key: market.renter });
    expect(answer).toMatchObject({ status: 200, body: { state: 'cancelled' } });
  });

  it('is cancelled by its renter, not by its provider', async () => {
    const { client } = market.coordinator;
    const answer = await refused(() =>
      client.post(`/contracts/${id}/cancel`, {}, { key: market.provider.key }),
    );
    expect(answer).toMatchObject({ status: 403, body: { code: 'PERMISSION_DENIED' } });
    expect((await cancel(market, id)).status).toBe(200);
  });

  it('can be cancelled by an administrator, who is named as such', async () => {
    const { client, context } = market.coordinator;
    await context.db.write((trx) =>
      trx.updateTable('accounts').set({ is_admin: 1 }).where('pubkey', '=', stranger.publicKey).execute(),
    );
    const answer = await client.post<WireContract>(`/contracts/${id}/cancel`, {}, { key: stranger });
    expect(expectStatus(answer, 200).timeline.at(-1)).toMatchObject({
      actor: 'admin',
      reason: 'Cancelled by an administrator.',
    });
  });
});

describe('the list of contracts', () => {
  it('shows the caller’s own, newest first, page by page', async () => {
    const { client, clock } = market.coordinator;
    const stranger = await makeAccount(market.coordinator, 'stranger');
    await tryToRent(market, {}, { key: stranger });
    const ids: string[] = [];
    for (let count = 0; count < 5; count += 1) {
      ids.unshift((await rent(market)).id);
      await clock.advance(2);
    }
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const query: string = cursor === '' ? '?limit=2' : `?limit=2&cursor=${cursor}`;
      const page: Answer<{ items: WireContract[]; next_cursor: string | null }> = await client.get(
        `/contracts${query}`,
        { key: market.renter },
      );
      expect(page.body.items.length).toBeLessThanOrEqual(2);
      seen.push(...page.body.items.map(({ id }) => id));
      cursor = page.body.next_cursor;
    }
    expect(seen).toEqual(ids);
  });

  it('can be cut down to one state', async () => {
    const { client } = market.coordinator;
    const { id } = await rent(market);
    await cancel(market, (await rent(market)).id);
    const list = await client.get<{ items: WireContract[] }>('/contracts?state=accepted', {
      key: market.renter,
    });
    expect(list.body.items.map((contract) => contract.id)).toEqual([id]);
    expect(await client.get('/contracts?state=lost', { key: market.renter })).toMatchObject({ status: 400 });
  });
});

describe('the health of an instance', () => {
  interface Health {
    items: { at: string; status: string; latency_ms: number | null; agent: string; seq: number }[];
  }
  const health = async (id: string): Promise<Health['items']> => {
    const { client } = market.coordinator;
    return expectStatus(await client.get<Health>(`/contracts/${id}/health`, { key: market.renter }), 200)
      .items;
  };

  it('is what its agent reports, newest first', async () => {
    const { id, lease } = await rentAndLease(market);
    await market.agent.report('provisioned', id, { epoch: lease.epoch, data: atPrivateAddress });
    await market.agent.report('health', id, { data: { status: 'healthy', latency_ms: 1.5 } });
    await market.coordinator.clock.advance(1000);
    await market.agent.report('health', id, { data: { status: 'unreachable', latency_ms: null } });
    expect(await health(id)).toMatchObject([
      { status: 'unreachable', latency_ms: null, seq: 3, agent: market.agent.key.publicKey },
      { status: 'healthy', latency_ms: 1.5, seq: 2 },
    ]);
  });

  it('is not what another agent says of it', async () => {
    const { id } = await rentUntilActive(market);
    const other = await addAgent(market, 'other');
    const words = { data: { status: 'unreachable', latency_ms: null } };
    expect(await other.report('health', id, words)).toMatchObject({ code: 'RECORD_FOREIGN' });
    expect(await health(id)).toEqual([]);
  });

  it.each([{}, { status: 7 }, { status: '<b>' }, { status: 'x'.repeat(1000) }, { status: null }])(
    'is unknown where the record says %j',
    async (data) => {
      const { id } = await rentUntilActive(market);
      await market.agent.report('health', id, { data });
      expect(await health(id)).toMatchObject([{ status: 'unknown', latency_ms: null }]);
    },
  );
});
