import type { Clock } from '@dc/shared/clock';
import { AppError, isAppError } from '@dc/shared/errors';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { signRecord } from '@dc/shared/evidence/record';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../lib/system-clock.ts';
import { systemRandom } from '../lib/system-random.ts';
import { MemoryCoordinator } from '../testing/memory-coordinator.ts';
import { WireServer } from '../testing/wire-server.ts';
import { HttpCoordinator } from './http-coordinator.ts';

const never = new AbortController().signal;
const key = SigningKey.fromSeed(new Uint8Array(32).fill(1));
const CONTRACT = '01890000-0000-7000-8000-0000000000aa';
const BEAT = { version: '1', running_contracts: [] };

/** Real time, with the pauses between tries left out. */
const impatient: Clock = {
  ...systemClock,
  schedule: (delayMs, callback) => systemClock.schedule(delayMs <= 2_000 ? 0 : delayMs, callback),
};

let server: WireServer;
let client: HttpCoordinator;

beforeEach(async () => {
  server = await WireServer.start(new MemoryCoordinator(systemClock, key.publicKey));
  client = new HttpCoordinator({ url: server.url, key, clock: impatient, random: systemRandom });
});
afterEach(async () => {
  await client.close();
  await server.stop();
});

/** The code that a promise is rejected with. */
async function refusal(promise: Promise<unknown>): Promise<AppError> {
  const error: unknown = await promise.then(
    () => new Error('it succeeded'),
    (thrown: unknown) => thrown,
  );
  if (!isAppError(error)) throw error;
  return error;
}

describe('the coordinator over HTTP', () => {
  it('is spoken to in signed requests, and understood', async () => {
    server.coordinator.addWork('provision', CONTRACT);
    expect(await client.heartbeat(BEAT, never)).toMatchObject({ open_work: 1, records_held: 0 });
    const [lease] = await client.leaseWork(5, never);
    expect(lease).toMatchObject({ contract_id: CONTRACT, epoch: 1, kind: 'provision' });
    expect(await client.renewLease(lease!.order_id, 1, never)).toEqual({ epoch: 1, ttlMs: 60_000 });
    const record = signRecord(
      {
        seq: 1,
        prev: '0'.repeat(64),
        at: '2026-11-20T12:00:00.000Z',
        environment: 'test',
        kind: 'provisioned',
        contract_id: CONTRACT,
        epoch: 1,
        data: {},
      },
      key,
    );
    expect((await client.submitRecords([record], never)).results).toEqual([{ seq: 1, outcome: 'applied' }]);
    expect((await client.submitRecords([record], never)).results).toEqual([
      { seq: 1, outcome: 'already_applied' },
    ]);
    expect(server.coordinator.records).toHaveLength(1);
  });

  it('takes an order back with its reason', async () => {
    const item = server.coordinator.addWork('provision', CONTRACT);
    await client.leaseWork(5, never);
    const body = { epoch: 1, code: 'capacity', detail: 'Full.', nothing_made: true } as const;
    await client.returnWork(item.orderId, body, never);
    expect(item.returned).toEqual(body);
    expect((await refusal(client.returnWork(item.orderId, body, never))).code).toBe('LEASE_STALE');
  });

  it('keeps the code and what helps to go on', async () => {
    const error = await refusal(client.renewLease('01890000-0000-7000-9000-00000000ffff', 1, never));
    expect(error.code).toBe('ORDER_NOT_FOUND');
    server.coordinator.before = () => {
      throw new AppError('RECORD_GAP', undefined, { extra: { expected_seq: 4 } });
    };
    expect((await refusal(client.submitRecords(['a.b.c'], never))).extra['expected_seq']).toBe(4);
  });

  it.each([
    ['fast', 3_600_000],
    ['slow', -86_400_000],
  ])('corrects a clock that is %s and goes on with one more request', async (_how, skewMs) => {
    server.now = () => Date.now() + skewMs;
    server.coordinator.addWork('provision', CONTRACT);
    expect(await client.leaseWork(1, never)).toHaveLength(1);
    expect(server.seen).toHaveLength(2);
    expect(Math.abs(client.serverNow() - server.now())).toBeLessThan(5_000);
    await client.leaseWork(1, never);
    expect(server.seen).toHaveLength(3);
  });

  it('does not chase a coordinator whose clock cannot be followed', async () => {
    server.misbehave = () => ({
      status: 401,
      body: JSON.stringify({
        code: 'SIGNATURE_SKEW',
        detail: 'No.',
        server_time: '2020-01-01T00:00:00.000Z',
      }),
    });
    expect((await refusal(client.heartbeat(BEAT, never))).code).toBe('SIGNATURE_SKEW');
    expect(server.seen).toHaveLength(2);
  });

  it.each(['cut', { status: 503 }, { status: 500 }, { status: 502, body: '<html>' }] as const)(
    'repeats a call that may be repeated after %j, with another nonce',
    async (misbehaviour) => {
      server.misbehave = () => (server.seen.length < 3 ? misbehaviour : undefined);
      expect(await client.heartbeat(BEAT, never)).toMatchObject({ next_interval_ms: 30_000 });
      expect(server.seen).toHaveLength(3);
      expect(new Set(server.seen.map(({ headers }) => headers['signature-input'])).size).toBe(3);
    },
  );

  it('gives up after three tries', async () => {
    server.misbehave = () => ({ status: 503 });
    expect((await refusal(client.heartbeat(BEAT, never))).code).toBe('SERVICE_UNAVAILABLE');
    expect(server.seen).toHaveLength(3);
  });

  it('never repeats the taking of work by itself', async () => {
    server.misbehave = () => 'cut';
    expect((await refusal(client.leaseWork(1, never))).code).toBe('COORDINATOR_UNREACHABLE');
    expect(server.seen).toHaveLength(1);
  });

  it('never repeats what was refused for good', async () => {
    server.misbehave = () => ({ status: 403, body: '{"code":"PERMISSION_DENIED","detail":"No."}' });
    expect((await refusal(client.heartbeat(BEAT, never))).code).toBe('PERMISSION_DENIED');
    expect(server.seen).toHaveLength(1);
  });

  it('hands a long Retry-After to its caller instead of sleeping', async () => {
    server.misbehave = () => ({ status: 429, headers: { 'retry-after': '120' } });
    const error = await refusal(client.heartbeat(BEAT, never));
    expect(error).toMatchObject({ code: 'REQUEST_RATE_LIMITED', retryAfterMs: 120_000 });
    expect(server.seen).toHaveLength(1);
  });

  it('follows no redirect', async () => {
    server.misbehave = () => ({ status: 307, headers: { location: 'http://127.0.0.1:9/' } });
    expect((await refusal(client.heartbeat(BEAT, never))).code).toBe('RESPONSE_INVALID');
    expect(server.seen).toHaveLength(1);
  });

  it('waits no longer than its deadline', async () => {
    server.misbehave = () => 'hang';
    const hasty: Clock = {
      ...systemClock,
      schedule: (ms, callback) => systemClock.schedule(ms / 100, callback),
    };
    const other = new HttpCoordinator({ url: server.url, key, clock: hasty, random: systemRandom });
    expect((await refusal(other.leaseWork(1, never))).code).toBe('COORDINATOR_UNREACHABLE');
    await other.close();
  });

  it('refuses an answer without end', async () => {
    server.misbehave = () => ({ status: 200, body: `"${'x'.repeat(3_000_000)}"` });
    expect((await refusal(client.heartbeat(BEAT, never))).code).toBe('RESPONSE_INVALID');
  });

  it('refuses an answer that is no JSON, and one that is not as agreed', async () => {
    server.misbehave = () => ({ status: 200, body: 'yes' });
    expect((await refusal(client.leaseWork(1, never))).code).toBe('RESPONSE_INVALID');
    server.misbehave = () => ({ status: 200, body: '{"leases":{}}' });
    expect((await refusal(client.leaseWork(1, never))).code).toBe('RESPONSE_INVALID');
  });

  it('stops at once when it is told to, and says so', async () => {
    server.misbehave = () => 'hang';
    const controller = new AbortController();
    const call = client.heartbeat(BEAT, controller.signal);
    const stream = client.readStream(() => undefined, controller.signal);
    while (server.seen.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    controller.abort();
    expect((await refusal(call)).code).toBe('SAGA_ABORTED');
    expect((await refusal(stream)).code).toBe('SAGA_ABORTED');
  });

  it('says that nobody answers where nobody does', async () => {
    await server.stop();
    expect((await refusal(client.leaseWork(1, never))).code).toBe('COORDINATOR_UNREACHABLE');
    server = await WireServer.start(server.coordinator);
  });
});

describe('the stream over HTTP', () => {
  it('brings every event until the coordinator ends it', async () => {
    const names: string[] = [];
    const reading = client.readStream(({ name }) => {
      names.push(name);
      if (name === 'hello') server.coordinator.nudge();
      if (name === 'work') server.coordinator.cutStreams();
    }, never);
    await reading;
    expect(names).toEqual(['hello', 'work']);
  });

  it('ends when it is aborted, and lets go of its connection', async () => {
    const controller = new AbortController();
    const reading = client.readStream(() => controller.abort(), controller.signal);
    expect((await refusal(reading)).code).toBe('SAGA_ABORTED');
    while (server.coordinator.streamCount > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it('says what is in the way, and follows the coordinator’s clock the next time', async () => {
    server.now = () => Date.now() + 3_600_000;
    expect((await refusal(client.readStream(() => undefined, never))).code).toBe('SIGNATURE_SKEW');
    await client.readStream(() => server.coordinator.cutStreams(), never);
  });
});
