/**
 * A program of the tests: `node number-program.ts FOLDER NAME COUNT` is a coordinator process that books COUNT top-ups
 * with their receipts in FOLDER, as fast as it can; every third of them fails after its receipt was issued. Prints how
 * many were kept.
 */
import { pino } from 'pino';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import { walletToppedUp } from '../../payments/ledger-wallet.ts';
import { testConfig } from '../../testing/test-config.ts';
import { createCoordinator } from '../../wiring.ts';
import { documentTopUp } from '../payment-documents.ts';

const [folder = '', name = '', count = '0'] = process.argv.slice(2);
const account = 'ab'.repeat(32);
const amount = { amountE9s: 1_000_000_000n, currency: 'USD' };

const parts = { clock: systemClock, random: systemRandom, log: pino({ level: 'silent' }), version: 'test' };
const { context, stop } = await createCoordinator(testConfig(folder), parts);

async function topUp(index: number): Promise<boolean> {
  const cause = `payment:test:${name}:${String(index)}`;
  const write = context.db.write(async (trx) => {
    await context.ledger.append(
      trx,
      walletToppedUp({ cause, method: 'test', renterPubkey: account, amount }),
    );
    await documentTopUp(context, trx, { account, method: 'test', cause, ...amount, taxE9s: 0n });
    if (index % 3 === 0) throw new Error('as planned');
  });
  return write.then(
    () => true,
    (error: unknown) => {
      if (error instanceof Error && error.message === 'as planned') return false;
      throw error;
    },
  );
}

let kept = 0;
for (let from = 0; from < Number(count); from += 10) {
  const batch = Array.from({ length: 10 }, (_, index) => topUp(from + index));
  kept += (await Promise.all(batch)).filter(Boolean).length;
}
await stop(1000);
process.stdout.write(JSON.stringify({ kept }));
