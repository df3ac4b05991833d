import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { beforeEach, describe, expect, it } from 'vitest';
import { pruneExpired } from '../jobs/housekeeping.ts';
import { dumpDatabase } from '../testing/dump-database.ts';
import { expectStatus, keyOf, makeProvider } from '../testing/people.ts';
import type { Answer } from '../testing/test-client.ts';
import { startTestCoordinator, type TestCoordinator } from '../testing/test-coordinator.ts';

const POOL = { name: 'another pool', country: 'FR' };
const DAY_MS = 24 * 60 * 60 * 1000;

let coordinator: TestCoordinator;
let provider: { key: SigningKey; poolId: string };
beforeEach(async () => {
  coordinator = await startTestCoordinator();
  provider = await makeProvider(coordinator, 'prov');
});

const post = (idempotencyKey: string, body: object = POOL, key = provider.key): Promise<Answer> =>
  coordinator.client.post(`/providers/${key.publicKey}/pools`, body, { key, idempotencyKey });

async function countPools(): Promise<number> {
  return (await dumpDatabase(coordinator.context.db.read))['pools']?.length ?? 0;
}

describe('an Idempotency-Key', () => {
  it('gives the first answer again, word for word, and has one effect', async () => {
    const first = await post('k1');
    const again = await post('k1');
    expectStatus(first, 201);
    expect(again).toMatchObject({ status: 201, text: first.text });
    expect(first.headers['idempotency-replayed']).toBeUndefined();
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect(await countPools()).toBe(2);
  });

  it('has one effect where two come at once', async () => {
    const answers = await Promise.all([post('k1'), post('k1'), post('k1')]);
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(await countPools()).toBe(2);
  });

  it('has one effect over a restart', async () => {
    const first = await post('k1');
    await coordinator.stop(0);
    coordinator = await startTestCoordinator({ folder: coordinator.folder, clock: coordinator.clock });
    expect((await post('k1')).text).toBe(first.text);
  });

  it('is refused with another body, and changes nothing', async () => {
    await post('k1');
    const before = await dumpDatabase(coordinator.context.db.read);
    expect(await post('k1', { ...POOL, country: 'DE' })).toMatchObject({
      status: 409,
      body: { code: 'IDEMPOTENCY_MISMATCH' },
    });
    expect(await dumpDatabase(coordinator.context.db.read)).toEqual(before);
  });

  it('of one caller is nothing to another', async () => {
    const other = await makeProvider(coordinator, 'other');
    const first = await post('k1');
    const theirs = await post('k1', POOL, other.key);
    expectStatus(theirs, 201);
    expect(theirs.text).not.toBe(first.text);
  });

  it('keeps no error: the same key succeeds once the cause is gone', async () => {
    const body = { title: 'x', pool_id: provider.poolId };
    expect((await post('k1', body)).status).toBe(400);
    expectStatus(await post('k1'), 201);
  });

  it('repeats the making of an account, although the key is no stranger any more', async () => {
    const key = keyOf('fresh');
    const make = (): Promise<Answer> =>
      coordinator.client.post('/accounts', { public_key: key.publicKey }, { key, idempotencyKey: 'k1' });
    const first = await make();
    expectStatus(first, 201);
    expect(await make()).toMatchObject({ status: 201, text: first.text });
  });

  it.each(['', 'x'.repeat(256), 'caf\u00e9'])(
    'that is not 1 to 255 printable characters is refused: %j',
    async (key) => {
      expect(await post(key)).toMatchObject({ status: 400, body: { code: 'REQUEST_INVALID' } });
      expect(await countPools()).toBe(1);
    },
  );

  it('is kept for a day, not longer', async () => {
    await post('k1');
    const prune = (): Promise<void> => pruneExpired(coordinator.context, new AbortController().signal);
    coordinator.clock.jump(DAY_MS - 1000);
    await prune();
    expect((await post('k1')).headers['idempotency-replayed']).toBe('true');
    coordinator.clock.jump(2000);
    await prune();
    expect((await post('k1')).headers['idempotency-replayed']).toBeUndefined();
  });
});
