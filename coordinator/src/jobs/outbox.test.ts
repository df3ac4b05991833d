import { describe, expect, it } from 'vitest';
import { openTestDatabase } from '../database/testing/test-database.ts';
import {
  createOutbox,
  defineTopic,
  outboxBacklog,
  pruneDone,
  retryStuckRow,
  rowsNeedingAttention,
} from './outbox.ts';
import { ManualClock } from './testing/manual-clock.ts';

const MAIL = defineTopic<{ to: string }>('mail');
const DNS = defineTopic<null>('dns');

async function openOutbox() {
  const clock = new ManualClock();
  const database = await openTestDatabase();
  let wakes = 0;
  const outbox = createOutbox({ clock, onCommitted: () => (wakes += 1) });
  const rows = () => database.read.selectFrom('outbox').selectAll().orderBy('topic').orderBy('key').execute();
  return { clock, database, outbox, rows, wakes: () => wakes };
}

describe('enqueueing', () => {
  it('is part of the change: there after its commit, with a wake, and not at all without it', async () => {
    const { clock, database, outbox, rows, wakes } = await openOutbox();
    const item = { key: 'a', payload: { to: 'x' }, notBeforeAt: clock.now() + 5 };
    const failing = database.write(async (trx) => {
      await outbox.enqueue(trx, MAIL, item);
      throw new Error('the change failed');
    });
    await expect(failing).rejects.toThrow('the change failed');
    expect([await rows(), wakes()]).toEqual([[], 0]);
    expect(await database.write((trx) => outbox.enqueue(trx, MAIL, item))).toBe('enqueued');
    expect(wakes()).toBe(1);
    expect(await rows()).toEqual([
      {
        topic: 'mail',
        key: 'a',
        payload: '{"to":"x"}',
        created_at: clock.now(),
        not_before_at: clock.now() + 5,
        attempts: 0,
        leased_by: null,
        done_at: null,
        needs_attention_at: null,
        last_error: null,
      },
    ]);
  });

  it('a key of a topic is one row, however often it is asked for, also when that is done', async () => {
    const { database, outbox, rows } = await openOutbox();
    const enqueue = (to: string) =>
      database.write((trx) => outbox.enqueue(trx, MAIL, { key: 'a', payload: { to } }));
    expect(await Promise.all([enqueue('x'), enqueue('y')])).toEqual(['enqueued', 'already_enqueued']);
    await database.write((trx) => trx.updateTable('outbox').set({ done_at: 1 }).execute());
    expect(await enqueue('z')).toBe('already_enqueued');
    await database.write((trx) => outbox.enqueue(trx, DNS, { key: 'a', payload: null }));
    expect((await rows()).map((row) => [row.topic, row.payload])).toEqual([
      ['dns', 'null'],
      ['mail', '{"to":"x"}'],
    ]);
  });

  it('refuses a payload that JSON would change', async () => {
    const { database, outbox, rows } = await openOutbox();
    const amount = defineTopic<{ amountE9s: bigint }>('amount');
    const enqueue = database.write((trx) =>
      outbox.enqueue(trx, amount, { key: 'a', payload: { amountE9s: 1n } }),
    );
    await expect(enqueue).rejects.toThrow(TypeError);
    expect(await rows()).toEqual([]);
  });
});

describe('looking after the rows', () => {
  it('shows the stuck ones, and lets them be tried again', async () => {
    const { clock, database, outbox, rows } = await openOutbox();
    for (const key of ['a', 'b', 'c']) {
      await database.write((trx) => outbox.enqueue(trx, MAIL, { key, payload: { to: 'x' } }));
    }
    const stuck = { needs_attention_at: 7, attempts: 3, last_error: 'no good' };
    await database.write((trx) => trx.updateTable('outbox').set(stuck).where('key', '!=', 'c').execute());
    const shown = { topic: 'mail', attempts: 3, lastError: 'no good', needsAttentionAt: 7 };
    expect(await rowsNeedingAttention(database.read, 10)).toEqual([
      { ...shown, key: 'a' },
      { ...shown, key: 'b' },
    ]);
    expect(await rowsNeedingAttention(database.read, 1)).toHaveLength(1);
    expect(await outboxBacklog(database.read)).toEqual([
      { topic: 'mail', waiting: 1, needsAttention: 2, oldestAt: clock.now() },
    ]);
    clock.advance(1000);
    const retry = (key: string) =>
      database.write((trx) => retryStuckRow(trx, { topic: 'mail', key }, clock.now()));
    expect([await retry('a'), await retry('a'), await retry('c'), await retry('none')]).toEqual([
      true,
      false,
      false,
      false,
    ]);
    expect((await rows())[0]).toMatchObject({
      needs_attention_at: null,
      attempts: 0,
      not_before_at: clock.now(),
    });
  });

  it('deletes what was done long ago, some at a time, and nothing else', async () => {
    const { database, outbox, rows } = await openOutbox();
    for (const key of ['a', 'b', 'c', 'd', 'e']) {
      await database.write((trx) => outbox.enqueue(trx, MAIL, { key, payload: { to: 'x' } }));
    }
    const change = (key: string, values: object) =>
      database.write((trx) => trx.updateTable('outbox').set(values).where('key', '=', key).execute());
    for (const [index, key] of ['b', 'a', 'c'].entries()) await change(key, { done_at: 10 + index });
    await change('d', { needs_attention_at: 1 });
    expect(await database.write((trx) => pruneDone(trx, 12, 1))).toBe(1);
    expect((await rows()).map((row) => row.key)).toEqual(['a', 'c', 'd', 'e']);
    expect(await database.write((trx) => pruneDone(trx, 12, 100))).toBe(1);
    expect((await rows()).map((row) => row.key)).toEqual(['c', 'd', 'e']);
  });
});
