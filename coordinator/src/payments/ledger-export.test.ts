import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { exportHead, exportSet } from './ledger-export.ts';
import type { BookedSet } from './ledger-page.ts';

const CONTRACT = '01890000-0000-7000-8000-000000000001';
const set = (change: Partial<BookedSet> = {}): BookedSet => ({
  id: '01890000-0000-7000-8000-000000000009',
  at: Date.parse('2026-11-20T12:00:00.005Z'),
  cause: 'payment:stripe:evt_1',
  kind: 'payment_received',
  contractId: CONTRACT,
  currency: 'USD',
  postings: [
    { account: 'processor:stripe', amountE9s: -12_500_000_001n },
    { account: `escrow:${CONTRACT}`, amountE9s: 12_500_000_001n },
  ],
  ...change,
});

describe('the ledger as CSV', () => {
  it('has a line for each posting, under the names of the columns', () => {
    const lines = exportSet(set(), 'csv').split('\n');
    const columns = exportHead('csv').split(',');
    expect(lines).toHaveLength(2);
    expect(Object.fromEntries(columns.map((name, index) => [name, lines[0]?.split(',')[index]]))).toEqual({
      set_id: '01890000-0000-7000-8000-000000000009',
      at: '2026-11-20T12:00:00.005Z',
      cause: 'payment:stripe:evt_1',
      kind: 'payment_received',
      contract_id: CONTRACT,
      line: '1',
      account: 'processor:stripe',
      amount_e9s: '-12500000001',
      currency: 'USD',
    });
  });

  it('quotes what needs quotes, and lets nothing be a formula', () => {
    const [line = ''] = exportSet(set({ cause: '=HYPERLINK("x"),1' }), 'csv').split('\n');
    expect(line).toContain(`,"'=HYPERLINK(""x""),1",`);
    expect(exportSet(set({ cause: '-cmd|x' }), 'csv')).toContain(",'-cmd|x,");
  });
});

describe('the ledger as an hledger journal', () => {
  it('is an entry that balances, to the last nano-unit, with what we hold as an asset', () => {
    expect(exportSet(set(), 'hledger')).toBe(
      [
        '2026-11-20 payment_received | payment:stripe:evt_1  ; set:01890000-0000-7000-8000-000000000009, at:12:00:00.005Z',
        '    assets:processor:stripe  12.500000001 USD',
        `    liabilities:escrow:${CONTRACT}  -12.500000001 USD`,
        '',
      ].join('\n'),
    );
  });

  it('names income, expenses and tokens as hledger takes them, and keeps words from being commands', () => {
    const journal = exportSet(
      set({
        cause: 'a;b|c\n~ d',
        currency: 'CKUSDC2',
        postings: [
          { account: 'payment_fees', amountE9s: -1n },
          { account: 'platform_revenue', amountE9s: 1n },
        ],
      }),
      'hledger',
    );
    expect(journal.split('\n').slice(0, 3)).toEqual([
      expect.stringMatching(/^2026-11-20 payment_received \| a b c ~ d {2}; set:/),
      '    expenses:payment_fees  0.000000001 "CKUSDC2"',
      '    income:platform_revenue  -0.000000001 "CKUSDC2"',
    ]);
  });
});

describe('hledger itself', () => {
  const hasHledger = spawnSync('hledger', ['--version']).status === 0;

  // Debian has it: apt-get install hledger.
  it.skipIf(!hasHledger)('takes the journal, finds it balanced, and sums what we hold and owe', () => {
    const token = {
      currency: 'CKUSDC2',
      postings: [
        { account: 'payment_fees', amountE9s: -1n },
        { account: 'processor:icpay', amountE9s: 1n },
      ],
    };
    const journal = [exportHead('hledger'), ...[set(), set(token)].map((each) => exportSet(each, 'hledger'))];
    const ask = (...args: string[]) =>
      spawnSync('hledger', ['-f', '-', ...args], { input: journal.join('\n'), encoding: 'utf8' });
    // Its standard checks: it parses, and every entry balances.
    expect(ask('check')).toMatchObject({ status: 0, stderr: '' });
    const { stdout } = ask('balance', '--flat', '--no-total', '-O', 'csv');
    expect(
      stdout
        .split('\n')
        .slice(1, -1)
        .map((line) => line.replaceAll('"', '')),
    ).toEqual(
      expect.arrayContaining([
        'assets:processor:stripe,12.500000001 USD',
        `liabilities:escrow:${CONTRACT},-12.500000001 USD`,
      ]),
    );
  });
});
