import { beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '@dc/shared/errors';
import { openMarket, rent, type Market } from '../testing/rental.ts';
import { moveContract } from './contract-service.ts';
import { findContract, listHistory, updateContract, type ContractRow } from './contract-store.ts';

let market: Market;
let seen: ContractRow;
beforeEach(async () => {
  market = await openMarket();
  const { id } = await rent(market);
  seen = (await findContract(market.coordinator.context.db.read, id))!;
});

const note = { event: 'cancel', actor: 'renter', reason: 'A test.' } as const;

describe('a change of a contract', () => {
  it('is refused where somebody else changed it since it was read', async () => {
    const { db } = market.coordinator.context;
    const after = await db.write((trx) => updateContract(trx, seen, { paused_ms: 1 }));
    expect(after).toMatchObject({ version: seen.version + 1, paused_ms: 1 });
    const second = db.write((trx) => updateContract(trx, seen, { paused_ms: 2 }));
    await expect(second).rejects.toMatchObject({ code: 'CONTRACT_STATE' });
    expect(await findContract(db.read, seen.id)).toEqual(after);
  });

  it('of its state from one version works once, with one row of history and one set of consequences', async () => {
    const { context } = market.coordinator;
    const moves = Array.from({ length: 3 }, () =>
      context.db.write((trx) => moveContract(context, trx, seen, note)),
    );
    const outcomes = await Promise.allSettled(moves);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected']);
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'CONTRACT_STATE' });
    const history = await listHistory(context.db.read, seen.id);
    expect(history.map(({ to_state }) => to_state)).toEqual(['requested', 'accepted', 'cancelled']);
    expect(await context.db.read.selectFrom('refunds').selectAll().execute()).toHaveLength(1);
  });

  it('that its state does not allow leaves everything as it was', async () => {
    const { context } = market.coordinator;
    for (const event of ['activate', 'provision', 'expire', 'pause', 'fail', 'resume', 'accept'] as const) {
      const move = context.db.write((trx) => moveContract(context, trx, seen, { ...note, event }));
      await expect(move).rejects.toMatchObject({ code: 'CONTRACT_STATE' });
    }
    expect(await findContract(context.db.read, seen.id)).toEqual(seen);
  });

  it('is undone with everything that followed from it when the transaction fails', async () => {
    const { context } = market.coordinator;
    const failing = context.db.write(async (trx) => {
      await moveContract(context, trx, seen, note);
      throw new AppError('SERVICE_UNAVAILABLE');
    });
    await expect(failing).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
    expect(await findContract(context.db.read, seen.id)).toEqual(seen);
    expect(await listHistory(context.db.read, seen.id)).toHaveLength(2);
    expect(await context.db.read.selectFrom('refunds').selectAll().execute()).toEqual([]);
    expect(await context.db.read.selectFrom('work').select(['kind', 'state']).execute()).toEqual([
      { kind: 'provision', state: 'open' },
    ]);
  });
});

describe('the database', () => {
  it('refuses a contract in provisioning that nobody paid for (I2)', async () => {
    const { db } = market.coordinator.context;
    const unpaid = db.write((trx) =>
      trx.updateTable('contracts').set({ paid_at: null }).where('id', '=', seen.id).execute(),
    );
    await expect(unpaid).rejects.toThrow(/CHECK constraint/);
  });

  it('refuses a second provision order for a contract (I4)', async () => {
    const { db } = market.coordinator.context;
    const work = await db.read.selectFrom('work').selectAll().executeTakeFirstOrThrow();
    const double = db.write((trx) =>
      trx
        .insertInto('work')
        .values({ ...work, id: '01993b5e-0000-7000-8000-000000000009' })
        .execute(),
    );
    await expect(double).rejects.toThrow(/UNIQUE constraint/);
  });
});
