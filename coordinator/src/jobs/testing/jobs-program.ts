/**
 * A program of the tests: `node jobs-program.ts FILE work` carries out the rows of the topic `test` until none is
 * left, writing down each time that it did one; `… hang` writes its first one down and then never ends it.
 */
import { pino } from 'pino';
import { sleep } from '@dc/shared/clock';
import { openDatabase } from '../../database/open-database.ts';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import { JobRunner } from '../job-runner.ts';
import { defineTopic, outboxBacklog } from '../outbox.ts';

const [file = '', mode = ''] = process.argv.slice(2);
const log = pino({ level: 'silent' });
const ports = { clock: systemClock, random: systemRandom, log };
const database = openDatabase({ file, ...ports, busyTimeoutMs: 60_000 });
const runner = new JobRunner({ database, ...ports });
runner.handle(
  defineTopic<null>('test'),
  async ({ key, attempt }) => {
    const did = { key: `${key} by ${process.pid}, attempt ${attempt}`, value: '' };
    await database.write((trx) => trx.insertInto('meta').values(did).execute());
    process.stdout.write('did\n');
    if (mode === 'hang') await new Promise<never>(() => undefined);
  },
  { concurrency: mode === 'hang' ? 1 : 8 },
);
await runner.start();
while ((await outboxBacklog(database.read)).some((topic) => topic.waiting > 0)) await sleep(systemClock, 20);
await runner.drain(5000);
await database.close();
