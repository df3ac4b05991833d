/**
 * Attacks on the ledger's tables by raw SQL: what a bug, or a person with a shell, might write. Each with what both
 * engines must say; `only` where one of them has no such statement.
 */

export const CONTRACT = '01890000-0000-7000-8000-000000000001';
export const OTHER = '01890000-0000-7000-8000-000000000002';
const PAYOUT = '01890000-0000-7000-8000-000000000003';

/** Adds the set `attack`. */
export const addSet = (kind = 'k', contract: string | null = CONTRACT): string =>
  `insert into ledger_sets values ('attack', 'attack', '${kind}', ${contract === null ? 'null' : `'${contract}'`}, 'USD', 1);`;
/** Adds a posting to it. */
export const addPosting = (line: number, account: string, amount: string, currency = 'USD'): string =>
  `insert into ledger_postings values ('attack', ${line}, '${account}', ${amount}, '${currency}');`;
export const SEAL = `insert into ledger_seals values ('attack');`;
const BOOKED = `(select id from ledger_sets where cause = 'pay')`;
/** A whole sealed set of two postings, without its row in ledger_sets. */
export const move = (from: string, to: string, amount: number): string =>
  addPosting(1, from, String(-amount)) + addPosting(2, to, String(amount)) + SEAL;

export const TABLES = ['ledger_sets', 'ledger_postings', 'ledger_seals'];
export interface Attack {
  name: string;
  sql: string;
  reason: RegExp;
  only?: 'sqlite';
}

const SAID: [name: string, sql: string, reason: RegExp][] = [
  ['a set without a seal', addSet() + addPosting(1, 'platform_revenue', '5'), /foreign key/i],
  ['a set without postings', addSet() + SEAL, /the set does not balance/],
  ['one posting alone', addSet() + addPosting(1, 'platform_revenue', '5') + SEAL, /the set does not balance/],
  [
    'postings that do not sum to zero',
    addSet() + addPosting(1, 'processor:test', '-5') + addPosting(2, 'platform_revenue', '4') + SEAL,
    /the set does not balance/,
  ],
  [
    'a sum that would wrap around to zero',
    addSet() +
      [1, 2, 3, 4].map((line) => addPosting(line, 'platform_revenue', '4611686018427387904')).join('') +
      SEAL,
    /integer overflow|does not balance/,
  ],
  [
    'two currencies that sum to zero',
    addSet() + addPosting(1, 'processor:test', '-5') + addPosting(2, 'platform_revenue', '5', 'EUR'),
    /foreign key/i,
  ],
  ['a posting of nothing', addSet() + addPosting(1, 'platform_revenue', '0'), /check/i],
  ['a posting of a fraction', addSet() + addPosting(1, 'platform_revenue', '0.5'), /an amount is an integer/],
  ['a posting of text', addSet() + addPosting(1, 'platform_revenue', `'five'`), /an amount is an integer/],
  ['a posting to an account that is none', addSet() + addPosting(1, 'petty cash', '5'), /no such account/],
  ['a posting to no set', addPosting(1, 'platform_revenue', '5'), /foreign key/i],
  ['a seal for no set', SEAL, /the set does not balance/],
  [
    'a set without a name',
    `insert into ledger_sets values (null, 'attack', 'k', null, 'USD', 1);`,
    /not.null/i,
  ],
  ['a set without a cause', `insert into ledger_sets values ('attack', '', 'k', null, 'USD', 1);`, /check/i],
  [
    'a cause that was booked before',
    `insert into ledger_sets values ('attack', 'pay', 'k', null, 'USD', 1);`,
    /append only/,
  ],
  [
    'a posting to a set that was booked before',
    `insert into ledger_postings values (${BOOKED}, 9, 'platform_revenue', 5, 'USD');`,
    /the set is sealed/,
  ],
  ['an overdrawn escrow', addSet() + move(`escrow:${CONTRACT}`, 'platform_revenue', 71), /below zero/],
  [
    'more confirmed than is due',
    addSet() + move(`refund_due:${CONTRACT}`, 'processor:test', 31),
    /below zero/,
  ],
  [
    'an escrow filled from elsewhere and released beyond what was paid',
    addSet('goodwill') +
      move('platform_revenue', `escrow:${CONTRACT}`, 5) +
      (addSet('released_to_provider') + move(`escrow:${CONTRACT}`, 'provider_payable:p', 71)).replaceAll(
        'attack',
        'second',
      ),
    /released and refunded exceed paid/,
  ],
  [
    'the escrow of another contract',
    addSet('k', OTHER) + move(`escrow:${CONTRACT}`, 'platform_revenue', 5),
    /another contract/,
  ],
  [
    'an escrow of no contract',
    addSet('k', null) + move(`escrow:${CONTRACT}`, 'platform_revenue', 5),
    /another contract/,
  ],
  [
    'a refund due of another contract',
    addSet('k', OTHER) + move(`refund_due:${CONTRACT}`, 'processor:test', 5),
    /another contract/,
  ],
  ['an overdrawn wallet', addSet('k', null) + move('renter_wallet:r', 'platform_revenue', 1), /below zero/],
  [
    'a wallet refund that nobody decided',
    addSet('k', null) + move('wallet_refund_due:r', 'processor:test', 1),
    /below zero/,
  ],
  [
    'a payout that is not owed',
    addSet('payout_requested', null) + move('provider_payable:p', `payout_in_flight:${PAYOUT}`, 1),
    /exceed what is owed/,
  ],
  [
    'a payout that was never requested',
    addSet('k', null) + move(`payout_in_flight:${PAYOUT}`, 'processor:test', 1),
    /below zero/,
  ],
  [
    'a dispute won that held nothing',
    addSet('dispute_won') + move('dispute_held:dp_1', `escrow:${CONTRACT}`, 1),
    /below zero/,
  ],
  [
    'a credit spent that was never given',
    addSet() + move(`renter_credit:${CONTRACT}`, 'platform_revenue', 1),
    /below zero/,
  ],
  [
    'what was paid, released once by a release and once by another name',
    addSet('goodwill') +
      move('platform_revenue', `escrow:${CONTRACT}`, 50) +
      (addSet('surprise') + move(`escrow:${CONTRACT}`, 'provider_payable:p', 71)).replaceAll(
        'attack',
        'second',
      ),
    /released and refunded exceed paid/,
  ],
  ['an account whose name only looks right', addSet() + addPosting(1, 'escrowX:1', '5'), /no such account/],
  ['an account without a name', addSet() + addPosting(1, 'escrow:', '5'), /no such account/],
];

/** A column to change in each table. */
const COLUMN: Readonly<Record<string, string>> = {
  ledger_sets: 'currency',
  ledger_postings: 'currency',
  ledger_seals: 'set_id',
};

export const ATTACKS: readonly Attack[] = [
  ...SAID.map(([name, sql, reason]): Attack => ({
    name,
    sql,
    reason,
    // PostgreSQL's column takes neither: the first is rounded to nothing, the second refused by its type.
    ...(/a posting of (a fraction|text)/.test(name) ? { only: 'sqlite' as const } : {}),
  })),
  ...TABLES.flatMap((table): Attack[] => [
    {
      name: `an update of ${table}`,
      sql: `update ${table} set ${COLUMN[table] ?? ''} = 'x';`,
      reason: /append only/,
    },
    { name: `a deletion from ${table}`, sql: `delete from ${table};`, reason: /append only/ },
    {
      name: `a replacement in ${table}`,
      sql: `insert or replace into ${table} select * from ${table} limit 1;`,
      reason: /append only/,
      only: 'sqlite',
    },
  ]),
];
