/**
 * A program of the tests: `node rent-program.ts FOLDER OFFERING TIMES SEED` is one of several coordinators on the
 * database of FOLDER. A renter with the key of SEED (hex) asks it TIMES at once; it prints how often it said what.
 */
import { pino } from 'pino';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import { createTestClient } from '../../testing/test-client.ts';
import { testConfig } from '../../testing/test-config.ts';
import { createCoordinator } from '../../wiring.ts';

const [folder = '', offering_id = '', times = '', seed = '', ssh_public_key = ''] = process.argv.slice(2);
const ports = { clock: systemClock, random: systemRandom };
const config = testConfig(folder);
const coordinator = await createCoordinator(config, {
  ...ports,
  log: pino({ level: 'silent' }),
  version: '0.0.0-test',
});
await coordinator.app.ready();
const client = createTestClient(coordinator.app, { publicUrl: config.publicUrl, ...ports });
const key = SigningKey.fromSeed(Buffer.from(seed, 'hex'));
const body = { offering_id, duration_hours: 1, ssh_public_key, payment_method: 'test' };
const answers = await Promise.all(
  Array.from({ length: Number(times) }, () => client.post('/contracts', body, { key })),
);
const counts: Record<string, number> = {};
for (const { status, body: answer } of answers) {
  const name = status === 201 ? 'rented' : String(answer['code']);
  counts[name] = (counts[name] ?? 0) + 1;
}
process.stdout.write(JSON.stringify(counts));
await coordinator.stop(1000);
