/** What `admin ledger verify` names when somebody wrote to the file past the tables' guards. */
import BetterSqlite3 from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { makeMoney } from '@dc/shared/money/money';
import { openTestDatabase } from '../database/testing/test-database.ts';
import { systemClock } from '../lib/system-clock.ts';
import { systemRandom } from '../lib/system-random.ts';
import { paymentReceived, refundDecided } from './ledger.ts';
import { createLedgerStore } from './ledger-store.ts';
import { verifyLedger } from './ledger-verify.ts';
import { addPosting, addSet, CONTRACT, move, OTHER, SEAL } from './testing/ledger-attacks.ts';

/** A contract that was paid 100 and has 30 of it due as a refund, and a connection of an attacker. */
async function openAttack() {
  const database = await openTestDatabase();
  const ledger = createLedgerStore({ clock: systemClock, random: systemRandom });
  const usd = (amountE9s: bigint) => makeMoney(amountE9s, 'USD');
  const movement = { cause: 'pay', contractId: CONTRACT };
  await database.write((trx) =>
    ledger.append(trx, paymentReceived({ ...movement, method: 'test', paid: usd(100n) })),
  );
  await database.write((trx) =>
    ledger.append(trx, refundDecided({ ...movement, cause: 'refund', amount: usd(30n) })),
  );
  const handle = new BetterSqlite3(database.file);
  onTestFinished(() => void handle.close());
  return { database, handle };
}

describe('verifying', () => {
  const forged = (set: string): string => addSet('k', null).replaceAll('attack', set);
  it.each<[string, string, RegExp]>([
    ['a set without a seal', addSet(), /The set attack \(attack\) has no seal/],
    ['a set without postings', addSet() + SEAL, /The set attack \(attack\) has 0 postings/],
    [
      'a set that does not balance',
      addSet() + addPosting(1, 'platform_revenue', '5') + addPosting(2, 'platform_revenue', '6') + SEAL,
      /sums to 11/,
    ],
    [
      'a mixed set',
      addSet() +
        addPosting(1, 'platform_revenue', '5') +
        addPosting(2, 'platform_revenue', '-5', 'EUR') +
        SEAL,
      /mixes USD and EUR/,
    ],
    ['a fraction', addSet() + addPosting(1, 'platform_revenue', '0.5') + SEAL, /no integer/],
    [
      'an overdrawn escrow',
      addSet() + move(`escrow:${CONTRACT}`, 'platform_revenue', 71),
      /escrow:.* is at -1, below zero/,
    ],
    [
      'an over-release',
      addSet('goodwill') +
        move('platform_revenue', `escrow:${CONTRACT}`, 5) +
        (addSet('released_to_provider') + move(`escrow:${CONTRACT}`, 'platform_revenue', 72)).replaceAll(
          'attack',
          'second',
        ),
      /2 more was released and refunded than was paid/,
    ],
    [
      'an account of another contract',
      addSet('k', OTHER) + move(`escrow:${CONTRACT}`, 'platform_revenue', 5),
      /which is not its contract's/,
    ],
    [
      'a posting of no set',
      addPosting(1, 'platform_revenue', '5'),
      /ledger_postings has rows for the set attack/,
    ],
    ['a seal of no set', SEAL, /ledger_seals has rows for the set attack/],
    [
      'a changed amount',
      `update ledger_postings set amount_e9s = 101 where amount_e9s = 100;`,
      /\(pay\) sums to 1 instead of 0/,
    ],
    ['the first of several', forged('b') + forged('a'), /The set a/],
  ])('names %s', async (_case, forgery, problem) => {
    const { database, handle } = await openAttack();
    // Whoever can write the file can drop what guards it.
    const triggers = handle
      .prepare(`select name from sqlite_master where type = 'trigger'`)
      .pluck()
      .all() as string[];
    for (const trigger of triggers) handle.exec(`drop trigger ${trigger}`);
    handle.pragma('foreign_keys = off');
    handle.pragma('ignore_check_constraints = on');
    handle.exec(forgery);
    expect((await verifyLedger(database)).firstProblem).toMatch(problem);
  });

  it('reads more sets than one page holds', { timeout: 30_000 }, async () => {
    const database = await openTestDatabase();
    const ledger = createLedgerStore({ clock: systemClock, random: systemRandom });
    const sets = Array.from({ length: 600 }, (_, index) =>
      paymentReceived({
        cause: `pay ${index}`,
        contractId: CONTRACT,
        method: 'test',
        paid: makeMoney(1n, 'USD'),
      }),
    );
    await Promise.all(sets.map((set) => database.write((trx) => ledger.append(trx, set))));
    expect(await verifyLedger(database)).toEqual({ sets: 600, postings: 1200, firstProblem: null });
  });
});
