import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { isAppError } from '@dc/shared/errors';
import { makeMoney } from '@dc/shared/money/money';
import { runProgram } from '../database/testing/run-program.ts';
import { openTestDatabase } from '../database/testing/test-database.ts';
import type { TestDatabase } from '../database/testing/test-database.ts';
import { systemClock } from '../lib/system-clock.ts';
import { systemRandom } from '../lib/system-random.ts';
import { accounts, paymentReceived, refundConfirmed, refundDecided, releasedToProvider } from './ledger.ts';
import type { PostingSet } from './ledger.ts';
import { balanceOf, createLedgerStore, moneyOfContract } from './ledger-store.ts';
import { verifyLedger } from './ledger-verify.ts';

const PROGRAM = fileURLToPath(new URL('./testing/ledger-program.ts', import.meta.url));
const CONTRACT = '01890000-0000-7000-8000-000000000001';
const OTHER = '01890000-0000-7000-8000-000000000002';
const PROVIDER = 'ab'.repeat(32);
const usd = (amountE9s: bigint) => makeMoney(amountE9s, 'USD');
const ledger = createLedgerStore({ clock: systemClock, random: systemRandom });

const book = (database: TestDatabase, set: PostingSet) => database.write((trx) => ledger.append(trx, set));
const pay = (amountE9s: bigint, cause = 'pay', contractId = CONTRACT) =>
  paymentReceived({ cause, contractId, method: 'test', paid: usd(amountE9s) });
const release = (toProvider: bigint, cause = 'release', fee = 0n) =>
  releasedToProvider({
    cause,
    contractId: CONTRACT,
    providerPubkey: PROVIDER,
    toProvider: usd(toProvider),
    fee: usd(fee),
  });
const refund = (amountE9s: bigint, cause = 'refund') =>
  refundDecided({ cause, contractId: CONTRACT, amount: usd(amountE9s) });
const confirm = (amountE9s: bigint, cause = 'confirm') =>
  refundConfirmed({ cause, contractId: CONTRACT, method: 'test', amount: usd(amountE9s) });
const codeOf = (error: unknown) => (isAppError(error) ? error.code : String(error));
const amounts = async (database: TestDatabase) => {
  const { paid, released, refunded, refundDue, escrow } = await moneyOfContract(
    database.read,
    CONTRACT,
    'USD',
  );
  return [paid, released, refunded, refundDue, escrow].map((money) => money.amountE9s);
};

describe('booking', () => {
  it('adds up to where the money is', async () => {
    const database = await openTestDatabase();
    await book(database, pay(100n));
    await book(database, release(30n, 'release', 5n));
    await book(database, refund(40n));
    await book(database, confirm(15n));
    expect(await moneyOfContract(database.read, CONTRACT, 'USD')).toEqual({
      paid: usd(100n),
      released: usd(35n),
      credited: usd(0n),
      refunded: usd(40n),
      refundDue: usd(25n),
      held: usd(0n),
      escrow: usd(25n),
    });
    const balance = async (account: string) => (await balanceOf(database.read, account, 'USD')).amountE9s;
    expect(await balance(accounts.processor('test'))).toBe(-85n);
    expect(await balance(accounts.providerPayable(PROVIDER))).toBe(30n);
    expect(await balance(accounts.platformRevenue)).toBe(5n);
    expect(await verifyLedger(database)).toEqual({ sets: 4, postings: 9, firstProblem: null });
  });

  it('keeps currencies apart', async () => {
    const database = await openTestDatabase();
    await book(database, pay(100n));
    const euros = paymentReceived({
      cause: 'euros',
      contractId: CONTRACT,
      method: 'test',
      paid: makeMoney(7n, 'EUR'),
    });
    await book(database, euros);
    expect((await moneyOfContract(database.read, CONTRACT, 'EUR')).escrow).toEqual(makeMoney(7n, 'EUR'));
    expect((await moneyOfContract(database.read, CONTRACT, 'USD')).escrow).toEqual(usd(100n));
    expect((await balanceOf(database.read, accounts.escrow(OTHER), 'USD')).amountE9s).toBe(0n);
  });

  it('a cause counts once, however often and at the same time it comes', async () => {
    const database = await openTestDatabase();
    const results = await Promise.all([1, 2, 3].map(() => book(database, pay(100n))));
    expect(results).toEqual(['posted', 'already_posted', 'already_posted']);
    expect(await book(database, pay(100n))).toBe('already_posted');
    expect(await amounts(database)).toEqual([100n, 0n, 0n, 0n, 100n]);
  });

  it.each<[string, PostingSet]>([
    ['another amount', pay(99n)],
    ['another contract', pay(100n, 'pay', OTHER)],
    ['another kind', { ...pay(100n), kind: 'refund_confirmed' }],
    ['fewer postings', { ...pay(100n), postings: pay(100n).postings.slice(1) }],
  ])('a cause that comes back with %s is refused', async (_case, set) => {
    const database = await openTestDatabase();
    await book(database, pay(100n));
    expect(await book(database, set).catch(codeOf)).toBe('LEDGER_REFUSED');
    expect(await amounts(database)).toEqual([100n, 0n, 0n, 0n, 100n]);
  });

  it.each<[string, PostingSet[]]>([
    ['a release beyond what was paid', [release(101n)]],
    ['a release together with a fee beyond it', [release(100n, 'release', 1n)]],
    ['a refund beyond what was paid', [refund(101n)]],
    ['a refund of what was released', [release(60n), refund(41n)]],
    ['a release of what was refunded', [refund(60n), release(41n)]],
    ['a confirmation of more than was decided', [refund(50n), confirm(51n)]],
    ['a second confirmation', [refund(50n), confirm(50n), confirm(1n, 'again')]],
  ])('%s is refused and changes nothing', async (_case, sets) => {
    const database = await openTestDatabase();
    await book(database, pay(100n));
    await book(database, pay(100n, 'other', OTHER));
    const last = sets.at(-1);
    for (const set of sets.slice(0, -1)) await book(database, set);
    const before = await amounts(database);
    expect(await book(database, last!).catch(codeOf)).toBe('LEDGER_REFUSED');
    expect(await amounts(database)).toEqual(before);
    expect((await verifyLedger(database)).firstProblem).toBeNull();
  });

  it('an amount too large to sum is refused and not wrapped', async () => {
    const database = await openTestDatabase();
    await book(database, pay(2n ** 63n - 1n));
    expect(await book(database, pay(1n, 'more')).catch(codeOf)).toBe('LEDGER_REFUSED');
    expect(await amounts(database)).toEqual([2n ** 63n - 1n, 0n, 0n, 0n, 2n ** 63n - 1n]);
  });

  it('refuses what the job did with it as well', async () => {
    const database = await openTestDatabase();
    const job = database.write(async (trx) => {
      await trx.insertInto('meta').values({ key: 'contract state', value: 'paid' }).execute();
      await ledger.append(trx, release(1n));
    });
    expect(await job.catch(codeOf)).toBe('LEDGER_REFUSED');
    const { rows } = await sql`select * from meta`.execute(database.read);
    expect(rows).toEqual([]);
  });
});

describe('random bookings', () => {
  type Operation = { name: 'pay' | 'release' | 'refund' | 'confirm'; amount: bigint; cause: number };
  const operation: fc.Arbitrary<Operation> = fc.record({
    name: fc.constantFrom('pay' as const, 'release' as const, 'refund' as const, 'confirm' as const),
    amount: fc.bigInt({ min: 1n, max: 60n }),
    cause: fc.nat(30),
  });
  const setOf = { pay, release, refund, confirm };

  it('agree with a plain model: no unit is lost, nothing goes below zero', { timeout: 30_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 40 }), async (operations) => {
        const database = await openTestDatabase();
        const model = { paid: 0n, released: 0n, refunded: 0n, due: 0n };
        const causes = new Map<string, string>();
        for (const { name, amount, cause } of operations) {
          const wanted = `${name} ${amount}`;
          const known = causes.get(`cause ${cause}`);
          const escrow = model.paid - model.released - model.refunded;
          const allowed = {
            pay: true,
            release: amount <= escrow,
            refund: amount <= escrow,
            confirm: amount <= model.due,
          };
          const expected =
            known === undefined
              ? allowed[name]
                ? 'posted'
                : 'LEDGER_REFUSED'
              : known === wanted
                ? 'already_posted'
                : 'LEDGER_REFUSED';
          expect(await book(database, setOf[name](amount, `cause ${cause}`)).catch(codeOf)).toBe(expected);
          if (expected !== 'posted') continue;
          causes.set(`cause ${cause}`, wanted);
          if (name === 'pay') model.paid += amount;
          if (name === 'release') model.released += amount;
          if (name === 'refund') [model.refunded, model.due] = [model.refunded + amount, model.due + amount];
          if (name === 'confirm') model.due -= amount;
        }
        const escrow = model.paid - model.released - model.refunded;
        expect(await amounts(database)).toEqual([
          model.paid,
          model.released,
          model.refunded,
          model.due,
          escrow,
        ]);
        expect((await verifyLedger(database)).firstProblem).toBeNull();
        await database.close();
      }),
      { numRuns: 25 },
    );
  });
});

it('two processes that book the same events book each once', { timeout: 60_000 }, async () => {
  const database = await openTestDatabase();
  await book(database, pay(1000n));
  const programs = [1, 2].map(() => runProgram(PROGRAM, [database.file, CONTRACT, '60']));
  const posted = (await Promise.all(programs.map((program) => program.finished))).map(Number);
  // 60 refunds of 20 units each: the money is enough for 50 of them, and each of those is booked by one process.
  expect(posted.reduce((sum, count) => sum + count, 0)).toBe(50);
  expect(await amounts(database)).toEqual([1000n, 0n, 1000n, 1000n, 0n]);
  expect((await verifyLedger(database)).firstProblem).toBeNull();
});
