import { beforeEach, describe, expect, it } from 'vitest';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import type { WireArchivedContract } from '@dc/shared/wire/archive';
import type { WireInvoice } from '@dc/shared/wire/invoices';
import { verifyLedger } from '../payments/ledger-verify.ts';
import { Crash, CrashPlan, crashingContext } from '../payments/testing/crashing-money.ts';
import { expectStatus, makeAccount } from '../testing/people.ts';
import {
  cancel,
  destroyInstance,
  HOUR_MS,
  look,
  openMarket,
  pass,
  rentUntilActive,
  settledMoney,
  sshKeyOf,
  type Market,
} from '../testing/rental.ts';
import { startTestCoordinator } from '../testing/test-coordinator.ts';
import { archiveContracts, retainedUntil } from './archive-contracts.ts';

const DAY_MS = 24 * HOUR_MS;
const YEAR_MS = 366 * DAY_MS;
const WORDS = 'I do not like it any more';
const signal = new AbortController().signal;

let market: Market;
beforeEach(async () => {
  market = await openMarket({ coordinator: await startTestCoordinator() });
});

/** A contract that was rented, used for three hours, cancelled with a reason, refunded, and destroyed. */
async function ended(): Promise<string> {
  await market.agent.beat();
  const { id } = await rentUntilActive(market);
  await market.agent.report('health', id, { epoch: 1, data: { status: 'healthy' } });
  await pass(market.coordinator, 3 * HOUR_MS);
  const { client } = market.coordinator;
  expectStatus(await client.post(`/contracts/${id}/cancel`, { reason: WORDS }, { key: market.renter }), 200);
  await destroyInstance(market, id);
  await settledMoney(market, id);
  return id;
}

const run = () => archiveContracts(market.coordinator.context, signal);

/** Time passes without the jobs: the test archives. */
const wait = (ms: number): void => market.coordinator.clock.jump(ms);

async function readBack(id: string, key: SigningKey = market.renter): Promise<WireArchivedContract> {
  const path = `/contracts/${id}/archive`;
  return expectStatus(await market.coordinator.client.get<WireArchivedContract>(path, { key }), 200);
}

async function expectBooksHold(): Promise<void> {
  const { db, config } = market.coordinator.context;
  expect((await verifyLedger(db, config.earning.proofMs)).firstProblem).toBeNull();
}

describe('a contract that ended long ago', () => {
  it('keeps the books, the invoices and the hashes of the evidence, and can be read back', async () => {
    const id = await ended();
    const { client, context } = market.coordinator;
    const before = await client.get<{ items: WireInvoice[] }>('/invoices', { key: market.renter });
    const money = await settledMoney(market, id);
    wait(181 * DAY_MS);
    expect(await run()).toEqual({ archived: 1, forgotten: 0 });
    const { contract, delete_after } = await readBack(id);
    expect(contract).toMatchObject({ id, state: 'cancelled', total: { amount_e9s: '100000000' } });
    expect(contract.documents.map(({ number }) => number).toSorted()).toEqual(
      before.body.items.map(({ number }) => number).toSorted(),
    );
    const kinds = contract.ledger.map(({ kind }) => kind);
    for (const kind of ['payment_received', 'released_to_provider', 'refund_decided', 'refund_confirmed'])
      expect(kinds).toContain(kind);
    expect(contract.history.map(({ to }) => to)).toContain('active');
    const records = await context.db.read
      .selectFrom('records')
      .select(['kind', 'hash'])
      .where('contract_id', '=', id)
      .execute();
    expect(contract.evidence.reduce((sum, { count }) => sum + count, 0)).toBe(records.length);
    const provisioned = records.find(({ kind }) => kind === 'provisioned');
    expect(contract.evidence).toContainEqual(
      expect.objectContaining({ kind: 'provisioned', first_hash: provisioned?.hash }),
    );
    expect(delete_after.slice(4)).toBe('-01-01T00:00:00.000Z');
    // What is not personal is there as it was: money, documents, statement, evidence.
    expect(await settledMoney(market, id)).toEqual(money);
    expect((await client.get('/invoices', { key: market.renter })).body).toEqual(before.body);
    expect((await client.get(`/contracts/${id}/statement`, { key: market.renter })).status).toBe(200);
    await expectBooksHold();
  });

  it('loses what is personal: keys, addresses, mail, and the words of people', async () => {
    const id = await ended();
    const { db } = market.coordinator.context;
    const textOf = async (): Promise<string> =>
      JSON.stringify(
        [
          await db.read.selectFrom('contracts').selectAll().execute(),
          await db.read.selectFrom('contract_history').selectAll().execute(),
          await db.read.selectFrom('credential_changes').selectAll().execute(),
          await db.read.selectFrom('payments').selectAll().execute(),
          await db.read.selectFrom('archived_contracts').selectAll().execute(),
        ],
        (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value),
      );
    const personal = [WORDS, sshKeyOf('renter'), '10.1.2.3'];
    const before = await textOf();
    expect(personal.filter((word) => before.includes(word))).toEqual(personal);
    wait(181 * DAY_MS);
    await run();
    const after = await textOf();
    expect(personal.filter((word) => after.includes(word))).toEqual([]);
    expect(await look(market, id)).toMatchObject({ state: 'cancelled', access: null });
  });

  it('is archived once, however often it is tried', async () => {
    const id = await ended();
    wait(181 * DAY_MS);
    const runs = await Promise.all([run(), run(), run()]);
    expect(runs.reduce((sum, { archived }) => sum + archived, 0)).toBe(1);
    const { sha256 } = await readBack(id);
    wait(DAY_MS);
    expect((await run()).archived).toBe(0);
    expect((await readBack(id)).sha256).toBe(sha256);
  });

  it('is whole or untouched, whichever write the program dies at', async () => {
    const ids = [await ended(), await ended(), await ended()];
    wait(181 * DAY_MS);
    const { context } = market.coordinator;
    for (let at = 1; at < 40; at += 1) {
      const crashed = await archiveContracts(crashingContext(context, new CrashPlan(at)), signal).then(
        () => false,
        (error: unknown) => {
          if (!(error instanceof Crash)) throw error;
          return true;
        },
      );
      const archived = await context.db.read.selectFrom('archived_contracts').select('contract_id').execute();
      const stripped = await context.db.read
        .selectFrom('contracts')
        .select('id')
        .where('ssh_public_key', '=', '')
        .execute();
      expect(stripped.map(({ id }) => id).toSorted()).toEqual(
        archived.map(({ contract_id: id }) => id).toSorted(),
      );
      if (!crashed) break;
    }
    for (const id of ids) await readBack(id);
    await expectBooksHold();
  });

  it('is its parties’ and the operator’s to read, and nobody else’s', async () => {
    const id = await ended();
    const other = await makeAccount(market.coordinator, 'other');
    const { client } = market.coordinator;
    expect((await client.get(`/contracts/${id}/archive`, { key: market.renter })).status).toBe(404);
    wait(181 * DAY_MS);
    await run();
    await readBack(id, market.provider.key);
    expect((await client.get(`/contracts/${id}/archive`, { key: other })).status).toBe(404);
    expect((await client.get(`/contracts/${id}/archive`)).status).toBe(401);
    await market.coordinator.context.db.write((trx) =>
      trx.updateTable('accounts').set({ is_admin: 1 }).execute(),
    );
    await readBack(id, other);
  });
});

describe('what is not archived', () => {
  it('runs, ended a short time ago, or waits for something', async () => {
    await ended();
    wait(179 * DAY_MS);
    expect((await run()).archived).toBe(0);
    await market.agent.beat();
    const { id } = await rentUntilActive(market);
    await cancel(market, id); // Its instance is not gone yet.
    wait(400 * DAY_MS);
    expect((await run()).archived).toBe(1);
    expect(
      (await market.coordinator.client.get(`/contracts/${id}/archive`, { key: market.renter })).status,
    ).toBe(404);
    await destroyInstance(market, id);
    expect((await run()).archived).toBe(1);
  });
});

describe('the time of retention', () => {
  it('ends with a calendar year', () => {
    expect(retainedUntil(Date.parse('2026-01-01T00:00:00Z'), 10)).toBe(Date.UTC(2037, 0));
    expect(retainedUntil(Date.parse('2026-12-31T23:59:59Z'), 10)).toBe(Date.UTC(2037, 0));
  });

  it('takes archive and documents with it, and leaves books that add up and numbers without a gap', async () => {
    const id = await ended();
    wait(181 * DAY_MS);
    await run();
    wait(9 * YEAR_MS);
    expect(await run()).toEqual({ archived: 0, forgotten: 0 });
    wait(3 * YEAR_MS);
    expect(await run()).toEqual({ archived: 0, forgotten: 3 }); // The contract, its invoice and its credit note.
    const { client, context } = market.coordinator;
    expect((await client.get(`/contracts/${id}/archive`, { key: market.renter })).status).toBe(404);
    expect((await client.get('/invoices', { key: market.renter })).body).toMatchObject({ items: [] });
    expect(
      await context.db.read.selectFrom('documents_forgotten').select('number').orderBy('number').execute(),
    ).toEqual([{ number: 'CRN-2026-000001' }, { number: 'INV-2026-000001' }]);
    await expectBooksHold();
    expect((await run()).forgotten).toBe(0);
  });
});
