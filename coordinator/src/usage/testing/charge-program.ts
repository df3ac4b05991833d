/**
 * A program of the tests: `node charge-program.ts FOLDER NOW` is a coordinator process that, at the time NOW, charges
 * for the use of every contract in FOLDER as if it were alone. Prints how many charges it made, as JSON.
 */
import { pino } from 'pino';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import { testConfig } from '../../testing/test-config.ts';
import { createCoordinator } from '../../wiring.ts';
import { chargeUsage } from '../charge-usage.ts';

const [folder = '', now = ''] = process.argv.slice(2);
// Stands still, so that what is due is due for both; waiting for the other process is real.
const clock = { ...systemClock, now: () => Number(now) };
const parts = { clock, random: systemRandom, log: pino({ level: 'silent' }), version: 'test' };
const { context, stop } = await createCoordinator(testConfig(folder), parts);
let charged = 0;
const { signal } = new AbortController();
for (let round = 0; round < 3; round += 1)
  await chargeUsage(context, signal, (trx) => {
    trx.afterCommit(() => {
      charged += 1;
    });
    return Promise.resolve();
  });
await stop(1000);
process.stdout.write(`${JSON.stringify({ charged })}\n`);
