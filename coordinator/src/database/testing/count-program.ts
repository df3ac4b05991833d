/**
 * A program of the tests: `node count-program.ts FILE TIMES` migrates FILE, then reads a counter and writes it back
 * one higher, TIMES times, ten at once. Lost updates show in the sum.
 */
import { pino } from 'pino';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import type { Transaction } from '../database.ts';
import { migrate } from '../migrate.ts';
import { MIGRATIONS } from '../migrations/index.ts';
import { openDatabase } from '../open-database.ts';

const AT_ONCE = 10;

async function countOne(trx: Transaction): Promise<void> {
  const row = await trx.selectFrom('meta').select('value').where('key', '=', 'counter').executeTakeFirst();
  const value = String(Number(row?.value ?? 0) + 1);
  await trx.replaceInto('meta').values({ key: 'counter', value }).execute();
}

const [file = '', times = ''] = process.argv.slice(2);
const log = pino({ level: 'silent' });
const database = openDatabase({ file, clock: systemClock, random: systemRandom, log, busyTimeoutMs: 60_000 });
await migrate(database, systemClock, MIGRATIONS);
for (let done = 0; done < Number(times); done += AT_ONCE) {
  await Promise.all(Array.from({ length: AT_ONCE }, () => database.write(countOne)));
}
await database.close();
