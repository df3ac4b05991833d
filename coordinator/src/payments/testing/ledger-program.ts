/**
 * A program of the tests: `node ledger-program.ts FILE CONTRACT TIMES` decides TIMES refunds of 20 nano-dollars for
 * CONTRACT, with the causes `refund 1`, `refund 2`, …, and prints how many of them it was that booked.
 */
import { pino } from 'pino';
import { isAppError } from '@dc/shared/errors';
import { makeMoney } from '@dc/shared/money/money';
import { openDatabase } from '../../database/open-database.ts';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import { createLedgerStore } from '../ledger-store.ts';
import { refundDecided } from '../ledger.ts';

const [file = '', contractId = '', times = ''] = process.argv.slice(2);
const log = pino({ level: 'silent' });
const database = openDatabase({ file, clock: systemClock, random: systemRandom, log, busyTimeoutMs: 60_000 });
const ledger = createLedgerStore({ clock: systemClock, random: systemRandom });
let posted = 0;
for (let index = 1; index <= Number(times); index += 1) {
  const set = refundDecided({ cause: `refund ${index}`, contractId, amount: makeMoney(20n, 'USD') });
  try {
    if ((await database.write((trx) => ledger.append(trx, set))) === 'posted') posted += 1;
  } catch (error) {
    // The escrow is empty: what the ledger must say in the end.
    if (!isAppError(error, 'LEDGER_REFUSED')) throw error;
  }
}
await database.close();
process.stdout.write(String(posted));
