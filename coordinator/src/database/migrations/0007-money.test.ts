import { join } from 'node:path';
import { expect, it } from 'vitest';
import { makeMoney } from '@dc/shared/money/money';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import { paymentReceived, refundDecided } from '../../payments/ledger.ts';
import { createLedgerStore } from '../../payments/ledger-store.ts';
import { verifyLedger } from '../../payments/ledger-verify.ts';
import { walletToppedUp } from '../../payments/ledger-wallet.ts';
import type { Database } from '../database.ts';
import { migrate } from '../migrate.ts';
import { openFile, testFolder } from '../testing/test-database.ts';
import { MIGRATIONS } from './index.ts';

const CONTRACT = '01890000-0000-7000-8000-000000000001';
const usd = (amountE9s: bigint) => makeMoney(amountE9s, 'USD');
const ledger = createLedgerStore({ clock: systemClock, random: systemRandom });

function postingsOf(database: Database) {
  return database.read.selectFrom('ledger_postings').selectAll().orderBy('set_id').orderBy('line').execute();
}

it('keeps every posting of a ledger in use, and its guards, and takes the new accounts', async () => {
  const database = openFile(join(testFolder(), 'old.sqlite'));
  const before = MIGRATIONS.filter(({ name }) => name < '0007');
  await migrate(database, systemClock, before);
  const movement = { cause: 'pay', contractId: CONTRACT };
  const old = [
    paymentReceived({ ...movement, method: 'test', paid: usd(2n ** 62n) }),
    refundDecided({ ...movement, cause: 'refund', amount: usd(30n) }),
  ];
  for (const set of old) await database.write((trx) => ledger.append(trx, set));
  const topUp = walletToppedUp({
    cause: 'top-up',
    method: 'test',
    renterPubkey: 'ab'.repeat(32),
    amount: usd(5n),
  });
  await expect(database.write((trx) => ledger.append(trx, topUp))).rejects.toThrow(
    'refused wallet_topped_up',
  );
  const booked = await postingsOf(database);
  expect(booked).toHaveLength(4);

  await migrate(database, systemClock, MIGRATIONS);
  expect(await postingsOf(database)).toEqual(booked);
  expect((await verifyLedger(database)).firstProblem).toBeNull();
  expect(await database.write((trx) => ledger.append(trx, old[0]!))).toBe('already_posted');
  expect(await database.write((trx) => ledger.append(trx, topUp))).toBe('posted');
  await expect(database.write((trx) => trx.deleteFrom('ledger_postings').execute())).rejects.toThrow(
    'append only',
  );
  const unsealed = { id: 's', cause: 'c', kind: 'k', contract_id: null, currency: 'USD', at: 1 };
  await expect(
    database.write((trx) => trx.insertInto('ledger_sets').values(unsealed).execute()),
  ).rejects.toThrow('FOREIGN KEY');
});
