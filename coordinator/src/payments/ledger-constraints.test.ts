/** Attacks on the ledger's tables by raw SQL: what a bug, or a person with a shell, might write. */
import BetterSqlite3 from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { makeMoney } from '@dc/shared/money/money';
import { openTestDatabase } from '../database/testing/test-database.ts';
import type { TestDatabase } from '../database/testing/test-database.ts';
import { systemClock } from '../lib/system-clock.ts';
import { systemRandom } from '../lib/system-random.ts';
import { paymentReceived, refundDecided } from './ledger.ts';
import { createLedgerStore } from './ledger-store.ts';
import { verifyLedger } from './ledger-verify.ts';

const CONTRACT = '01890000-0000-7000-8000-000000000001';
const OTHER = '01890000-0000-7000-8000-000000000002';

/** A contract that was paid 100 and has 30 of it due as a refund, and a connection of an attacker. */
async function openAttack(): Promise<{ database: TestDatabase; handle: BetterSqlite3.Database }> {
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

const addSet = (kind = 'k', contract: string | null = CONTRACT): string =>
  `insert into ledger_sets values ('attack', 'attack', '${kind}', ${contract === null ? 'null' : `'${contract}'`}, 'USD', 1);`;
const addPosting = (line: number, account: string, amount: string, currency = 'USD'): string =>
  `insert into ledger_postings values ('attack', ${line}, '${account}', ${amount}, '${currency}');`;
const SEAL = `insert into ledger_seals values ('attack');`;
const BOOKED = `(select id from ledger_sets where cause = 'pay')`;
const move = (from: string, to: string, amount: number): string =>
  addPosting(1, from, String(-amount)) + addPosting(2, to, String(amount)) + SEAL;

const TABLES = ['ledger_sets', 'ledger_postings', 'ledger_seals'];
const ATTACKS: [string, string, string][] = [
  ['a set without a seal', addSet() + addPosting(1, 'platform_revenue', '5'), 'FOREIGN KEY'],
  ['a set without postings', addSet() + SEAL, 'the set does not balance'],
  ['one posting alone', addSet() + addPosting(1, 'platform_revenue', '5') + SEAL, 'the set does not balance'],
  [
    'postings that do not sum to zero',
    addSet() + addPosting(1, 'processor:test', '-5') + addPosting(2, 'platform_revenue', '4') + SEAL,
    'the set does not balance',
  ],
  [
    'a sum that would wrap around to zero',
    addSet() +
      [1, 2, 3, 4].map((line) => addPosting(line, 'platform_revenue', '4611686018427387904')).join('') +
      SEAL,
    'integer overflow',
  ],
  [
    'two currencies that sum to zero',
    addSet() + addPosting(1, 'processor:test', '-5') + addPosting(2, 'platform_revenue', '5', 'EUR'),
    'FOREIGN KEY',
  ],
  ['a posting of nothing', addSet() + addPosting(1, 'platform_revenue', '0'), 'CHECK'],
  ['a posting of a fraction', addSet() + addPosting(1, 'platform_revenue', '0.5'), 'an amount is an integer'],
  ['a posting of text', addSet() + addPosting(1, 'platform_revenue', `'five'`), 'an amount is an integer'],
  ['a posting to an account that is none', addSet() + addPosting(1, 'petty cash', '5'), 'no such account'],
  ['a posting to no set', addPosting(1, 'platform_revenue', '5'), 'FOREIGN KEY'],
  ['a seal for no set', SEAL, 'the set does not balance'],
  [
    'a set without a name',
    `insert into ledger_sets values (null, 'attack', 'k', null, 'USD', 1);`,
    'NOT NULL',
  ],
  ['a set without a cause', `insert into ledger_sets values ('attack', '', 'k', null, 'USD', 1);`, 'CHECK'],
  [
    'a cause that was booked before',
    `insert into ledger_sets values ('attack', 'pay', 'k', null, 'USD', 1);`,
    'append only',
  ],
  [
    'a posting to a set that was booked before',
    `insert into ledger_postings values (${BOOKED}, 9, 'platform_revenue', 5, 'USD');`,
    'the set is sealed',
  ],
  ['an overdrawn escrow', addSet() + move(`escrow:${CONTRACT}`, 'platform_revenue', 71), 'below zero'],
  [
    'more confirmed than is due',
    addSet() + move(`refund_due:${CONTRACT}`, 'processor:test', 31),
    'below zero',
  ],
  [
    'an escrow filled from elsewhere and released beyond what was paid',
    addSet('goodwill') +
      move('platform_revenue', `escrow:${CONTRACT}`, 5) +
      (addSet('released_to_provider') + move(`escrow:${CONTRACT}`, 'provider_payable:p', 71)).replaceAll(
        'attack',
        'second',
      ),
    'released and refunded exceed paid',
  ],
  [
    'the escrow of another contract',
    addSet('k', OTHER) + move(`escrow:${CONTRACT}`, 'platform_revenue', 5),
    'another contract',
  ],
  [
    'an escrow of no contract',
    addSet('k', null) + move(`escrow:${CONTRACT}`, 'platform_revenue', 5),
    'another contract',
  ],
  [
    'a refund due of another contract',
    addSet('k', OTHER) + move(`refund_due:${CONTRACT}`, 'processor:test', 5),
    'another contract',
  ],
  ...TABLES.flatMap((table): [string, string, string][] => [
    [`an update of ${table}`, `update ${table} set rowid = rowid;`, 'append only'],
    [`a deletion from ${table}`, `delete from ${table};`, 'append only'],
    [
      `a replacement in ${table}`,
      `insert or replace into ${table} select * from ${table} limit 1;`,
      'append only',
    ],
  ]),
];

describe('the tables refuse', () => {
  it.each(ATTACKS)('%s', async (_case, attack, reason) => {
    const { database, handle } = await openAttack();
    const all = () => TABLES.map((table) => handle.prepare(`select * from ${table}`).all());
    const before = all();
    // Somebody else's connection: nothing of what ours switches on, except foreign keys.
    handle.pragma('recursive_triggers = off');
    handle.pragma('foreign_keys = on');
    expect(() => handle.exec(`begin; ${attack} commit;`)).toThrow(reason);
    if (handle.inTransaction) handle.exec('rollback');
    expect(all()).toEqual(before);
    expect((await verifyLedger(database)).firstProblem).toBeNull();
  });

  it('none of what is right', async () => {
    const { database, handle } = await openAttack();
    handle.exec(
      `begin; ${addSet('released_to_provider')} ${move(`escrow:${CONTRACT}`, 'provider_payable:p', 70)} commit;`,
    );
    expect((await verifyLedger(database)).firstProblem).toBeNull();
  });
});

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
