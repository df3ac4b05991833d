/** A coordinator whose database is behind what it has signed: restored from an older backup, or written by a thief. */
import { describe, expect, it } from 'vitest';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { signCheckpoint, verifyRecord } from '@dc/shared/evidence/record';
import { signOrder } from '@dc/shared/orders/order';
import type { WireHeldEvidence, WireLease } from '@dc/shared/wire/agent';
import { grantAdmin } from '../admin/admin-reports.ts';
import { findContract } from '../contracts/contract-store.ts';
import { verifyLedger } from '../payments/ledger-verify.ts';
import type { AgentPlayer } from '../testing/agent-player.ts';
import { beat, expectStatus, makeAccount } from '../testing/people.ts';
import {
  addAgent,
  atPrivateAddress,
  cancel,
  HOUR_MS,
  look,
  moneyOf,
  openMarket,
  pass,
  reaches,
  rent,
  rentAndLease,
  rentUntilActive,
  tryToRent,
  type Market,
} from '../testing/rental.ts';
import { findDifferences, renderDifferences } from './differences.ts';
import { resolveSafeMode } from './resolve-safe-mode.ts';
import { enterSafeMode } from './safe-mode.ts';
import { findSafeMode } from './safe-mode-store.ts';
import { backUp, restart, restore, tamper } from './testing/backup.ts';

/** What the market's agent has of the coordinator. */
interface Memory {
  held: WireHeldEvidence;
  records: string[];
  orders: string[];
}
const newMemory = (): Memory => ({ held: {}, records: [], orders: [] });

async function takeOrder(market: Market, memory: Memory): Promise<WireLease> {
  const lease = await market.agent.leaseOne();
  memory.orders.push(lease.order);
  memory.held.order = lease.order;
  return lease;
}

/** Reports, and keeps the record and its receipt. */
async function report(market: Market, memory: Memory, kind: 'provisioned' | 'destroyed', lease: WireLease) {
  const { client } = market.coordinator;
  const data = kind === 'provisioned' ? atPrivateAddress : {};
  const record = market.agent.sign(kind, lease.contract_id, { epoch: lease.epoch, data });
  memory.records.push(record);
  const answer = await client.post<{ checkpoint: string }>(
    '/agents/records',
    { records: [record] },
    { key: market.agent.key },
  );
  memory.held.checkpoint = expectStatus(answer, 200).checkpoint;
}

const isOn = async ({ coordinator }: Market): Promise<boolean> =>
  (await findSafeMode(coordinator.context.db.read)) !== null;
const leaseWith = (market: Market, held: WireHeldEvidence) =>
  market.coordinator.client.post<{ leases: WireLease[] }>(
    '/agents/work/lease',
    { held },
    { key: market.agent.key },
  );
const differencesOf = async ({ coordinator: { context } }: Market) =>
  (await findDifferences(context, context.db.read))!;

/** One contract before the backup, ended after it; one ordered before and delivered after; one all after it. */
async function restoredMarket() {
  const market = await openMarket();
  const memory = newMemory();
  const early = await rent(market);
  await report(market, memory, 'provisioned', await takeOrder(market, memory));
  await reaches(market, early.id, 'active');
  const pending = await rent(market);
  await backUp(market);
  await report(market, memory, 'provisioned', await takeOrder(market, memory));
  await reaches(market, pending.id, 'active');
  await pass(market.coordinator, 4 * HOUR_MS);
  await market.agent.beat();
  const late = await rent(market);
  await report(market, memory, 'provisioned', await takeOrder(market, memory));
  await reaches(market, late.id, 'active');
  const cancelled = expectStatus(await cancel(market, early.id), 200);
  const moneyThen = await moneyOf(market, early.id);
  await report(market, memory, 'destroyed', await takeOrder(market, memory));
  await restore(market, { keysToo: true });
  return { market, memory, early, pending, late, cancelled, moneyThen };
}

// Each has three lives of a coordinator, with a database on disk.
describe('A restored older backup', { timeout: 60_000 }, () => {
  it.each(['a receipt', 'an order'])('is noticed by %s that the agent shows', async (what) => {
    const { market, memory } = await restoredMarket();
    const { checkpoint, order } = memory.held;
    expect(await isOn(market)).toBe(false);
    await market.agent.beat({ held: what === 'a receipt' ? { checkpoint: checkpoint! } : { order: order! } });
    expect(await isOn(market)).toBe(true);
  });

  it('still hears an agent that drains, although its orders cannot go to another one', async () => {
    const { market, memory } = await restoredMarket();
    await market.agent.beat({ held: memory.held });
    await market.agent.beat({ draining: true });
    const { body } = await market.coordinator.client.post(
      '/agents/heartbeat',
      { version: '1', running_contracts: [], draining: true },
      { key: market.agent.key },
    );
    expect(body).toMatchObject({ safe_mode: { orders_after: expect.any(String) as string } });
  });

  it('leases nothing to the agent that shows it, were it the first to speak', async () => {
    const { market, memory, pending } = await restoredMarket();
    expect((await look(market, pending.id)).state).toBe('accepted');
    expect(expectStatus(await leaseWith(market, memory.held), 200).leases).toEqual([]);
    expect(await isOn(market)).toBe(true);
  });

  it('orders nothing anew before the agents have spoken: another one may have it', async () => {
    const market = await openMarket();
    const other = await addAgent(market, 'other');
    const { id } = await rent(market);
    await backUp(market);
    const memory = newMemory();
    expect((await takeOrder(market, memory)).contract_id).toBe(id);
    await pass(market.coordinator, 1_000);
    await restore(market, { keysToo: true });
    other.coordinator = market.coordinator;
    await other.beat();
    expect(await other.lease()).toEqual([]);
    await market.agent.beat({ held: memory.held });
    expect(await isOn(market)).toBe(true);
  });

  it('that is none gives work to whoever asks, once all have spoken', async () => {
    const market = await openMarket();
    const other = await addAgent(market, 'other');
    const { id } = await rent(market);
    await pass(market.coordinator, 1_000);
    await restart(market);
    other.coordinator = market.coordinator;
    expect(await other.lease()).toEqual([]);
    await market.agent.beat();
    expect((await other.leaseOne()).contract_id).toBe(id);
  });

  it('sells, ends, orders and pays nothing until it is resolved, over restarts; everybody can see that', async () => {
    const { market, memory, early, pending } = await restoredMarket();
    await market.agent.beat({ held: memory.held });
    await restart(market);
    await pass(market.coordinator, 24 * HOUR_MS);
    await market.agent.beat();
    expect((await look(market, early.id)).state).toBe('active');
    expect((await look(market, pending.id)).state).toBe('accepted');
    expect((await tryToRent(market)).body).toMatchObject({ code: 'COORDINATOR_SAFE_MODE' });
    expect((await cancel(market, early.id)).status).toBe(503);
    expect(expectStatus(await leaseWith(market, {}), 200).leases).toEqual([]);
    const { client } = market.coordinator;
    expect((await client.get('/health/ready')).body).toMatchObject({ status: 'ready', safe_mode: {} });
    expect((await client.get('/coordinator')).body).toMatchObject({ safe_mode: {} });
    expect(await moneyOf(market, early.id)).toMatchObject({ refunded: 0n, refundDue: 0n });
    const rows = await market.coordinator.context.db.read
      .selectFrom('outbox')
      .select('topic')
      .where('needs_attention_at', 'is not', null)
      .execute();
    expect(rows).toEqual([]);
  });

  it('is shown where things are sold and to whoever looks at a provider, also what it does not know', async () => {
    const { market, memory } = await restoredMarket();
    const { client } = market.coordinator;
    await market.agent.beat({ held: memory.held });
    const own = { key: market.agent.key };
    await client.post('/agents/held-orders', { orders: memory.orders, is_last: true }, own);
    expect((await client.get(`/offerings/${market.offering.id}`)).body).toMatchObject({
      in_stock: false,
      out_of_stock: 'safe_mode',
    });
    const pubkey = market.provider.key.publicKey;
    expect((await client.get(`/providers/${pubkey}`)).body).toMatchObject({
      safe_mode: { since: expect.any(String) as string },
      agents: [{ unknown_contracts: 1 }],
    });
    for (const [path, words] of [
      [`/providers/${pubkey}`, 'Nothing is sold, ended or paid here since'],
      [`/providers/${pubkey}`, 'that this site does not know any more'],
      ['/', 'Nothing is sold now'],
      [`/offerings/${market.offering.id}`, 'Nothing is sold here at the moment'],
    ] as const) {
      const { payload } = await market.coordinator.app.inject({
        url: path,
        headers: { host: '127.0.0.1:8787' },
      });
      expect(payload.replaceAll(/\s+/g, ' ')).toContain(words);
    }
  });

  it('is explained to an admin, and to nobody else', async () => {
    const { market, memory } = await restoredMarket();
    const { client, context } = market.coordinator;
    const boss = await makeAccount(market.coordinator, 'boss');
    await grantAdmin(context.db, boss.publicKey);
    expect((await client.get('/admin/safe-mode', { key: boss })).body).toMatchObject({ safe_mode: null });
    await market.agent.beat({ held: memory.held });
    expect((await client.get('/admin/safe-mode', { key: market.renter })).status).toBe(403);
    expect((await client.get('/admin/safe-mode', { key: boss })).body).toMatchObject({
      safe_mode: { cause: 'agent_ahead', agent: market.agent.key.publicKey },
      silent_agents: [market.agent.key.publicKey],
    });
  });

  it('keeps what is delivered again, says what differs, and is brought to what the agent can prove', async () => {
    const { market, memory, early, pending, late, cancelled, moneyThen } = await restoredMarket();
    const { client, context } = market.coordinator;
    const own = { key: market.agent.key };
    const again = await client.post<{ results: { outcome: string; code?: string }[] }>(
      '/agents/records',
      { records: memory.records, held: memory.held },
      own,
    );
    expect(expectStatus(again, 200).results.slice(1)).toEqual(
      memory.records.slice(1).map((record) => ({
        seq: verifyRecord(record)!.payload.seq,
        outcome: 'not_applied',
        code: 'COORDINATOR_SAFE_MODE',
      })),
    );
    await expect(resolveSafeMode(context, { withoutSilent: false })).rejects.toThrow(
      market.agent.key.publicKey,
    );
    const told = await client.post(
      '/agents/held-orders',
      { orders: memory.orders.slice(1), is_last: true },
      own,
    );
    expect(expectStatus(told, 200)).toEqual({ unknown_contracts: [late.id] });
    const text = renderDifferences(await differencesOf(market));
    expect(text).toContain(`contract ${late.id}: unknown here`);
    expect(text).toContain(`contract ${early.id}: active here; it was cancelled at ${cancelled.ended_at!}`);
    expect(text).toContain(`contract ${pending.id}: epoch 0 here`);
    expect(await resolveSafeMode(context, { withoutSilent: false })).toMatchObject({
      ended: 1,
      unknown: [late.id],
      withdrawn: 0,
    });
    expect(await isOn(market)).toBe(false);
    await reaches(market, pending.id, 'active');
    expect(await look(market, early.id)).toMatchObject({ state: 'cancelled', release: 'released' });
    const { released, paid } = await moneyOf(market, early.id);
    expect({ released, paid }).toEqual({ released: moneyThen.released, paid: moneyThen.paid });
    expect((await verifyLedger(context.db)).firstProblem).toBeNull();
    // What stays unknown was told and settled: it is no news when the agent shows it again.
    for (const order of memory.orders) await market.agent.beat({ held: { ...memory.held, order } });
    expect(await isOn(market)).toBe(false);
    expect(await findContract(context.db.read, late.id)).toBeNull();
  });

  it('raises epochs above what was ordered, so that what is ordered next counts', async () => {
    const { market, memory, pending } = await restoredMarket();
    await market.agent.beat({ held: memory.held });
    const own = { key: market.agent.key };
    const orders = { orders: memory.orders, is_last: true };
    expectStatus(await market.coordinator.client.post('/agents/held-orders', orders, own), 200);
    await resolveSafeMode(market.coordinator.context, { withoutSilent: false });
    const contract = await findContract(market.coordinator.context.db.read, pending.id);
    expect(contract).toMatchObject({ epoch: 1, agent_key: market.agent.key.publicKey });
    // Nobody else gets what that agent may have built (I4).
    const other = await addAgent(market, 'other');
    await other.beat();
    expect(await other.lease()).toEqual([]);
    await market.agent.beat();
    const leases = await market.agent.lease();
    expect(leases).toContainEqual(expect.objectContaining({ contract_id: pending.id, epoch: 2 }));
  });

  it('that is resolved without an agent is noticed again when that one comes, and what it made is removed', async () => {
    const { market, memory, pending } = await restoredMarket();
    const other = await addAgent(market, 'other');
    await market.coordinator.context.db.write((trx) =>
      enterSafeMode(market.coordinator.context, trx, {
        cause: 'admin',
        detail: 'Somebody knows.',
        agent_key: null,
        proof: null,
      }),
    );
    const { context, client } = market.coordinator;
    const nothing = { orders: [], is_last: true };
    expectStatus(await client.post('/agents/held-orders', nothing, { key: other.key }), 200);
    await expect(resolveSafeMode(context, { withoutSilent: false })).rejects.toThrow(
      market.agent.key.publicKey,
    );
    await resolveSafeMode(context, { withoutSilent: true });
    await pass(market.coordinator, 60_000);
    await reaches(market, pending.id, 'rejected');
    await market.agent.beat({ held: memory.held });
    expect(await isOn(market)).toBe(true);
    const own = { key: market.agent.key };
    expectStatus(
      await client.post('/agents/held-orders', { orders: memory.orders, is_last: true }, own),
      200,
    );
    expectStatus(await client.post('/agents/held-orders', nothing, { key: other.key }), 200);
    await resolveSafeMode(context, { withoutSilent: false });
    await market.agent.beat();
    const leases = await market.agent.lease();
    expect(leases).toContainEqual(
      expect.objectContaining({ contract_id: pending.id, kind: 'destroy', epoch: 2 }),
    );
    expect((await verifyLedger(context.db)).firstProblem).toBeNull();
  });

  it('leaves a contract with the agent that has it by now, whoever comes with an order of the lost time', async () => {
    const market = await openMarket();
    const other = await addAgent(market, 'other');
    const { id, lease } = await rentAndLease(market);
    const { context, client } = market.coordinator;
    const order = {
      ...{ iss: context.key.publicKey, aud: other.key.publicKey, sub: id, kind: 'provision' as const },
      ...{ epoch: 5, iat: 1, exp: 2, jti: lease.order_id, environment: 'test' },
    };
    const late = signOrder(order, context.key);
    await other.beat({ held: { order: late } });
    expect(await isOn(market)).toBe(true);
    const tell = (agent: AgentPlayer, held: string) =>
      client.post('/agents/held-orders', { orders: [held], is_last: true }, { key: agent.key });
    expectStatus(await tell(other, late), 200);
    expectStatus(await tell(market.agent, lease.order), 200);
    await resolveSafeMode(context, { withoutSilent: false });
    await pass(market.coordinator, 10_000);
    expect(await other.lease()).toEqual([]);
    expect(await market.agent.leaseOne()).toMatchObject({ contract_id: id, epoch: 6 });
  });

  it('is noticed at the start without any agent where the file beside the key is ahead', async () => {
    const market = await openMarket();
    await rent(market);
    await backUp(market);
    await pass(market.coordinator, 60_000);
    await pass(market.coordinator, 60_000);
    await restore(market, { keysToo: false });
    expect(await isOn(market)).toBe(true);
    await resolveSafeMode(market.coordinator.context, { withoutSilent: true });
    await restart(market);
    expect(await isOn(market)).toBe(false);
  });
});

describe('Evidence that is not ours', () => {
  it('stops nobody: forged receipts and orders, another agent’s, another environment’s', async () => {
    const market = await openMarket();
    const { lease } = await rentAndLease(market);
    const { key } = market.coordinator.context;
    const thief = SigningKey.fromSeed(new Uint8Array(32).fill(9));
    const receipt = { agent: market.agent.key.publicKey, seq: 9, hash: 'f'.repeat(64), received_at: '2026' };
    const order = {
      iss: key.publicKey,
      aud: market.agent.key.publicKey,
      sub: lease.contract_id,
      kind: 'stop' as const,
      epoch: 9,
      iat: 1,
      exp: 2,
      jti: 'x',
      environment: 'test',
    };
    for (const held of [
      { checkpoint: signCheckpoint(receipt, thief) },
      { checkpoint: signCheckpoint({ ...receipt, agent: thief.publicKey }, key) },
      { order: signOrder({ ...order, iss: thief.publicKey }, thief) },
      { order: signOrder({ ...order, aud: thief.publicKey }, key) },
      { order: signOrder({ ...order, environment: 'prod' }, key) },
      { checkpoint: 'a.b.c', order: 'a.b.c' },
    ])
      await beat(market.coordinator, market.agent.key, { held });
    expect(await isOn(market)).toBe(false);
  });
});

describe('A thief with the database and without the key', () => {
  it('destroys nothing by ending contracts in it', async () => {
    const market = await openMarket();
    const { id } = await rentUntilActive(market);
    tamper(
      market,
      `update contracts set state = 'cancelled', release = 'pending', ended_at = 1 where id = ?`,
      id,
    );
    await pass(market.coordinator, HOUR_MS);
    await market.agent.beat();
    expect(await market.agent.lease()).toEqual([]);
  });

  it.each([
    ['no tombstone', null],
    ['a tombstone of its own', '{"contract_id":"ID","reason":"cancelled","at":"2026-11-20T12:00:00.000Z"}'],
    ['another contract’s tombstone', 'COPY'],
  ])('destroys nothing by writing an order with %s: the coordinator stops instead', async (_what, words) => {
    const market = await openMarket();
    const { id } = await rentUntilActive(market);
    const other = await rentAndLease(market);
    expectStatus(await cancel(market, other.id), 200);
    tamper(market, `update contracts set state = 'cancelled', release = 'pending' where id = ?`, id);
    const insert = `insert into work (id, contract_id, kind, state, pool_id, agent_key, epoch, tombstone, not_before_at, created_at)
      select '01890000-0000-7000-8000-000000000001', id, 'destroy', 'open', pool_id, agent_key, epoch, ${
        words === 'COPY'
          ? `(select tombstone from work where contract_id = '${other.id}' and kind = 'destroy')`
          : '?'
      }, 0, 0 from contracts where id = '${id}'`;
    if (words === 'COPY') tamper(market, insert);
    else tamper(market, insert, words?.replace('ID', id) ?? null);
    const leases = await market.agent.lease();
    expect(leases.map(({ contract_id }) => contract_id)).not.toContain(id);
    expect(await isOn(market)).toBe(true);
    expect(await market.agent.lease()).toEqual([]);
    expect((await differencesOf(market)).lines.join('\n')).toContain(
      `destroy the instance of contract ${id}`,
    );
    expect(await resolveSafeMode(market.coordinator.context, { withoutSilent: true })).toMatchObject({
      withdrawn: 1,
    });
    expect((await market.agent.lease()).map(({ contract_id }) => contract_id)).not.toContain(id);
  });

  it('ends nothing by rows in the outbox', async () => {
    const market = await openMarket();
    const { id } = await rentUntilActive(market);
    const row = `insert into outbox (topic, key, payload, created_at, not_before_at, attempts) values (?, 'x', ?, 0, 0, 0)`;
    tamper(market, row, 'contract.deadline', JSON.stringify({ contractId: id }));
    tamper(market, row, 'payment.refund', '{}');
    await pass(market.coordinator, HOUR_MS);
    await market.agent.beat();
    expect((await look(market, id)).state).toBe('active');
    expect(await market.agent.lease()).toEqual([]);
    expect(await moneyOf(market, id)).toMatchObject({ refunded: 0n, refundDue: 0n });
  });
});
