import { describe, expect, it } from 'vitest';
import type { WireContract } from '@dc/shared/wire/contract';
import { makeAccount } from '../testing/people.ts';
import type { Answer } from '../testing/test-client.ts';
import {
  cancel,
  destroyInstance,
  HOUR_MS,
  look,
  openMarket,
  pass,
  reaches,
  rent,
  rentUntilActive,
  settledMoney,
  type Market,
} from '../testing/rental.ts';

const PRICE = 100_000_000n;
const DAY_MS = 24 * HOUR_MS;

/** A market with an admin, who pauses and resumes. */
async function openWatchedMarket() {
  const market = await openMarket();
  const { coordinator } = market;
  const admin = await makeAccount(coordinator, 'watcher');
  await coordinator.context.db.write((trx) =>
    trx.updateTable('accounts').set({ is_admin: 1 }).where('pubkey', '=', admin.publicKey).execute(),
  );
  const order =
    (word: 'pause' | 'resume') =>
    (id: string, body = {}): Promise<Answer<WireContract>> =>
      coordinator.client.post<WireContract>(`/admin/contracts/${id}/${word}`, body, { key: admin });
  return { market, pause: order('pause'), resume: order('resume') };
}

/** The kinds of work that there are for a contract. */
async function liveWork({ coordinator }: Market, id: string): Promise<string[]> {
  const rows = await coordinator.context.db.read
    .selectFrom('work')
    .select('kind')
    .where('contract_id', '=', id)
    .where('state', 'in', ['open', 'leased'])
    .execute();
  return rows.map(({ kind }) => kind);
}

describe('pausing a contract', () => {
  it('stops its clock and its instance, and resuming starts both; the end moves by the pause', async () => {
    const { market, pause, resume } = await openWatchedMarket();
    const before = await rentUntilActive(market);
    const { id } = before;
    await pass(market.coordinator, 4 * HOUR_MS);
    expect(await pause(id, { reason: 'Port scans.' })).toMatchObject({
      status: 200,
      body: { state: 'paused' },
    });
    const stop = await market.agent.leaseOne();
    expect(stop).toMatchObject({ kind: 'stop', contract_id: id, epoch: 2 });
    expect(await market.agent.report('stopped', id, { epoch: 2 })).toMatchObject({ outcome: 'applied' });
    expect(await liveWork(market, id)).toEqual([]);

    const promised = (await look(market, id)).refund_if_cancelled_now;
    await pass(market.coordinator, 20 * HOUR_MS - 1000);
    const paused = await look(market, id);
    expect(paused).toMatchObject({ state: 'paused', refund_if_cancelled_now: promised });
    expect((await resume(id)).status).toBe(200);
    const start = await market.agent.leaseOne();
    expect(start).toMatchObject({ kind: 'start', contract_id: id, epoch: 3 });
    await market.agent.report('started', id, { epoch: 3 });
    expect(await liveWork(market, id)).toEqual([]);

    const after = await look(market, id);
    expect(Date.parse(after.ends_at!) - Date.parse(before.ends_at!)).toBe(20 * HOUR_MS);
    expect(after.ends_at).toBe(paused.ends_at);
    expect(after.timeline.slice(-2)).toMatchObject([
      { to: 'paused', actor: 'admin', reason: 'Port scans.' },
      { from: 'paused', to: 'active', reason: 'Resumed by an administrator.' },
    ]);
    await pass(market.coordinator, 6 * HOUR_MS - 3000);
    expect(await look(market, id)).toMatchObject({ state: 'active' });
    await pass(market.coordinator, 2000);
    await reaches(market, id, 'expired');
    expect(await settledMoney(market, id)).toEqual({ paid: PRICE, released: PRICE, refunded: 0n });
  });

  it('that is cancelled gives back what was not used before the pause', async () => {
    const { market, pause } = await openWatchedMarket();
    const { id } = await rentUntilActive(market);
    market.coordinator.clock.jump(4 * HOUR_MS);
    await pause(id);
    await pass(market.coordinator, 3 * DAY_MS);
    expect((await cancel(market, id)).status).toBe(200);
    expect(await liveWork(market, id)).toEqual(['destroy']);
    expect(await settledMoney(market, id)).toEqual({
      paid: PRICE,
      released: (PRICE * 4n) / 10n,
      refunded: (PRICE * 6n) / 10n,
    });
    await destroyInstance(market, id);
  });

  it('cannot last for ever: then it has ended, and what was not used goes back', async () => {
    const { market, pause } = await openWatchedMarket();
    const { id } = await rentUntilActive(market);
    market.coordinator.clock.jump(1 * HOUR_MS);
    await pause(id);
    await pass(market.coordinator, 119 * DAY_MS);
    expect(await look(market, id)).toMatchObject({ state: 'paused' });
    await pass(market.coordinator, DAY_MS);
    await reaches(market, id, 'expired');
    expect(await settledMoney(market, id)).toMatchObject({ released: PRICE / 10n });
  });

  it('takes back the order that is not wanted any more, and a late record of it changes nothing', async () => {
    const { market, pause, resume } = await openWatchedMarket();
    const { id } = await rentUntilActive(market);
    await pause(id);
    const stop = await market.agent.leaseOne();
    await resume(id);
    expect(await liveWork(market, id)).toEqual(['start']);
    expect((await market.agent.renew(stop)).body).toMatchObject({ code: 'LEASE_STALE' });
    await market.agent.report('stopped', id, { epoch: stop.epoch });
    expect(await liveWork(market, id)).toEqual(['start']);
    const start = await market.agent.leaseOne();
    await pause(id);
    await market.agent.report('started', id, { epoch: start.epoch });
    expect(await liveWork(market, id)).toEqual(['stop']);
  });

  it('is for admins, and for a contract that is active', async () => {
    const { market, pause, resume } = await openWatchedMarket();
    const { id } = await rent(market);
    expect(await pause(id)).toMatchObject({ status: 409, body: { code: 'CONTRACT_STATE' } });
    await cancel(market, id);
    const active = await rentUntilActive(market);
    expect(await resume(active.id)).toMatchObject({ status: 409 });
    const { client } = market.coordinator;
    for (const key of [market.renter, market.provider.key])
      expect(await client.post(`/admin/contracts/${active.id}/pause`, {}, { key })).toMatchObject({
        status: 403,
        body: { code: 'PERMISSION_DENIED' },
      });
  });
});
