import { beforeEach, describe, expect, it } from 'vitest';
import type { WireContract } from '@dc/shared/wire/contract';
import { expectStatus, makeOffering } from '../testing/people.ts';
import {
  atPrivateAddress,
  contractBecomes,
  destroyInstance,
  HOUR_MS,
  look,
  openMarket,
  pass,
  placesTaken,
  reaches,
  rent,
  rentAndLease,
  rentUntilActive,
  settledMoney,
  sshKeyOf,
  type Market,
} from '../testing/rental.ts';
import { until } from '../testing/test-coordinator.ts';

const PRICE = 100_000_000n; // 10 hours at 0.01 USD.

describe('a rental', () => {
  let market: Market;
  beforeEach(async () => {
    market = await openMarket();
  });

  it('is paid and accepted in the call that makes it', async () => {
    const contract = await rent(market);
    expect(contract).toMatchObject({
      state: 'accepted',
      release: 'none',
      total: { amount_e9s: PRICE.toString(), currency: 'USD' },
      payment: { method: 'test', status: 'succeeded', checkout_url: null },
      paid_at: contract.created_at,
      active_at: null,
      access: null,
      refund_if_cancelled_now: { amount_e9s: PRICE.toString(), currency: 'USD' },
    });
    expect(contract.timeline.map(({ from, to }) => [from, to])).toEqual([
      [null, 'requested'],
      ['requested', 'accepted'],
    ]);
    expect(await placesTaken(market)).toBe(1);
  });

  it('goes from order to login to its last minute, and its money is split to the unit', async () => {
    const { coordinator, agent } = market;
    const { id } = await rent(market);
    await coordinator.clock.advance(40);
    const lease = await agent.leaseOne();
    expect(await look(market, id)).toMatchObject({ state: 'provisioning', access: null });
    await coordinator.clock.advance(300);
    const result = await agent.report('provisioned', id, { epoch: lease.epoch, data: atPrivateAddress });
    expect(result).toEqual({ seq: 1, outcome: 'applied' });
    const active = await reaches(market, id, 'active');
    const endsAt = Date.parse(active.active_at ?? '') + 10 * HOUR_MS;
    expect(active).toMatchObject({
      verified_by: 'agent',
      ends_at: new Date(endsAt).toISOString(),
      access: {
        host: '10.1.2.3',
        port: 2222,
        user: 'root',
        ssh_command: 'ssh -p 2222 root@10.1.2.3',
        host_key: sshKeyOf('instance'),
        host_key_fingerprint: expect.stringMatching(/^SHA256:[A-Za-z0-9+/]{43}$/) as string,
      },
    });

    // A half of the time later, a half of the money would come back.
    await pass(coordinator, 5 * HOUR_MS - 1000);
    expect((await look(market, id)).refund_if_cancelled_now?.amount_e9s).toBe((PRICE / 2n).toString());

    await pass(coordinator, endsAt - coordinator.clock.now() - 2000);
    await coordinator.clock.advance(999);
    expect(await look(market, id)).toMatchObject({ state: 'active' });
    await coordinator.clock.advance(2);
    const expired = await reaches(market, id, 'expired');
    expect(expired).toMatchObject({
      ended_at: new Date(endsAt).toISOString(),
      release: 'pending',
      access: null,
      refund_if_cancelled_now: null,
      refunded: null,
      payment: { status: 'succeeded' },
    });
    expect(await settledMoney(market, id)).toEqual({ paid: PRICE, released: PRICE, refunded: 0n });

    expect(await placesTaken(market)).toBe(1);
    await destroyInstance(market, id);
    expect(await look(market, id)).toMatchObject({ state: 'expired', release: 'released' });
    expect(await placesTaken(market)).toBe(0);
  });

  it('has a stage for each step, the last one ending at the login', async () => {
    const { coordinator, agent } = market;
    const { id } = await rent(market);
    await coordinator.clock.advance(40);
    await agent.lease();
    await coordinator.clock.advance(300);
    expect((await look(market, id)).stages).toMatchObject([
      { name: 'payment', duration_ms: 0 },
      { name: 'queue', duration_ms: 40 },
      { name: 'provisioning', ended_at: null, duration_ms: null },
    ]);
    await agent.report('provisioned', id, { data: atPrivateAddress });
    const { stages, active_at } = await reaches(market, id, 'active');
    expect(stages).toMatchObject([
      { name: 'payment', duration_ms: 0 },
      { name: 'queue', duration_ms: 40 },
      { name: 'provisioning', duration_ms: 300 },
      { name: 'verification', ended_at: active_at },
    ]);
  });

  it('leaves one row of history for each change of its state, and says who did it', async () => {
    const { id } = await rentUntilActive(market);
    await pass(market.coordinator, 10 * HOUR_MS);
    const { timeline, version } = await reaches(market, id, 'expired');
    const agent = `agent:${market.agent.key.publicKey.slice(0, 16)}`;
    expect(timeline.map(({ from, to, actor }) => [from, to, actor])).toEqual([
      [null, 'requested', 'renter'],
      ['requested', 'accepted', 'system'],
      ['accepted', 'provisioning', agent],
      ['provisioning', 'provisioned', agent],
      ['provisioned', 'active', 'system'],
      ['active', 'expired', 'system'],
    ]);
    const rows = await market.coordinator.context.db.read
      .selectFrom('contract_history')
      .select(['version', 'event'])
      .where('contract_id', '=', id)
      .orderBy('version')
      .execute();
    expect(rows.map(({ event }) => event)).toEqual([
      'create',
      'accept',
      'lease',
      'provision',
      'activate',
      'expire',
    ]);
    expect(new Set(rows.map((row) => row.version)).size).toBe(rows.length);
    expect(version).toBeGreaterThanOrEqual(rows.at(-1)!.version);
  });

  it('that the agent reports as failed is refunded in full and released when nothing is left of it', async () => {
    const { id, lease } = await rentAndLease(market);
    const data = { code: 'PROVISIONER_EXHAUSTED', detail: 'The storage is full.' };
    expect(await market.agent.report('failed', id, { epoch: lease.epoch, data })).toMatchObject({
      outcome: 'applied',
    });
    const failed = await contractBecomes(market, id, ({ payment }) => payment.status === 'refunded');
    expect(failed).toMatchObject({
      state: 'failed',
      refunded: { amount_e9s: PRICE.toString() },
      last_error: {
        code: 'PROVISIONER_EXHAUSTED',
        detail: 'The storage is full.',
        remedy: expect.stringContaining('all of your money back') as string,
      },
    });
    expect(await settledMoney(market, id)).toEqual({ paid: PRICE, released: 0n, refunded: PRICE });
    expect(await placesTaken(market)).toBe(1);
    await destroyInstance(market, id);
    expect(await placesTaken(market)).toBe(0);
  });

  it('that costs nothing goes the same way, without a posting', async () => {
    market.offering = await makeOffering(market.coordinator, market.provider, {
      price_per_hour: { amount_e9s: '0', currency: 'USD' },
    });
    const { id } = await rentUntilActive(market);
    await pass(market.coordinator, 10 * HOUR_MS);
    await reaches(market, id, 'expired');
    expect(await settledMoney(market, id)).toEqual({ paid: 0n, released: 0n, refunded: 0n });
    expect(await market.coordinator.context.db.read.selectFrom('refunds').selectAll().execute()).toEqual([]);
  });
});

describe('where the provider wants to be asked', () => {
  let market: Market;
  beforeEach(async () => {
    market = await openMarket({ autoAccept: false });
  });

  const respond = (id: string, body: object, key = market.provider.key) =>
    market.coordinator.client.post<WireContract>(`/provider/rental-requests/${id}/respond`, body, { key });

  it('a paid request waits, and no agent gets it', async () => {
    const contract = await rent(market);
    expect(contract).toMatchObject({ state: 'requested', payment: { status: 'succeeded' } });
    expect(await market.agent.lease()).toEqual([]);
  });

  it('an accepted one goes to the agent', async () => {
    const { id } = await rent(market);
    expect(expectStatus(await respond(id, { accept: true }), 200)).toMatchObject({ state: 'accepted' });
    expect(await market.agent.leaseOne()).toMatchObject({ kind: 'provision', contract_id: id });
    expect((await look(market, id)).timeline[1]).toMatchObject({
      to: 'accepted',
      actor: 'provider',
      reason: 'Accepted by the provider.',
    });
  });

  it('a rejected one is refunded in full, its place is free, and no agent hears of it', async () => {
    const { id } = await rent(market);
    const answer = await respond(id, { accept: false, reason: 'Closed for the holidays.' });
    expect(expectStatus(answer, 200)).toMatchObject({ state: 'rejected', release: 'none' });
    const rejected = await contractBecomes(market, id, ({ payment }) => payment.status === 'refunded');
    expect(rejected.timeline.at(-1)).toMatchObject({
      actor: 'provider',
      reason: 'Closed for the holidays.',
    });
    expect(await settledMoney(market, id)).toEqual({ paid: PRICE, released: 0n, refunded: PRICE });
    expect(await placesTaken(market)).toBe(0);
    expect(await market.agent.lease()).toEqual([]);
  });

  it('it can still reject what it accepted, until an agent has begun', async () => {
    const { id } = await rent(market);
    await respond(id, { accept: true });
    expect(expectStatus(await respond(id, { accept: false }), 200)).toMatchObject({ state: 'rejected' });
    expect(await settledMoney(market, id)).toMatchObject({ refunded: PRICE });

    const second = await rent(market);
    await respond(second.id, { accept: true });
    await market.agent.leaseOne();
    expect(await respond(second.id, { accept: false })).toMatchObject({
      status: 409,
      body: { code: 'CONTRACT_STATE' },
    });
  });

  it('it answers once, and only what is its own', async () => {
    const { id } = await rent(market);
    const { renter } = market;
    expect(await respond(id, { accept: true }, renter)).toMatchObject({
      status: 403,
      body: { code: 'PERMISSION_DENIED' },
    });
    expect(await look(market, id)).toMatchObject({ state: 'requested' });
    await respond(id, { accept: true });
    expect(await respond(id, { accept: true })).toMatchObject({
      status: 409,
      body: { code: 'CONTRACT_STATE', detail: expect.stringContaining('accepted') as string },
    });
  });

  it('what it never answers goes back in full after an hour', async () => {
    const { id } = await rent(market);
    await pass(market.coordinator, HOUR_MS - 2000);
    expect(await look(market, id)).toMatchObject({ state: 'requested' });
    await pass(market.coordinator, 1000);
    expect(await reaches(market, id, 'cancelled')).toMatchObject({ release: 'none' });
    expect(await settledMoney(market, id)).toEqual({ paid: PRICE, released: 0n, refunded: PRICE });
    await until(async () => (await placesTaken(market)) === 0);
  });
});
