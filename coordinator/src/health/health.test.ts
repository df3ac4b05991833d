import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { expectStatus, makeAccount } from '../testing/people.ts';
import { startTestCoordinator, until } from '../testing/test-coordinator.ts';
import { listenMetrics } from './metrics-server.ts';
import { MetricsRegistry } from './metrics-registry.ts';

describe('health', () => {
  it('is live while it turns, and ready while the database is there and the jobs run', async () => {
    const { client } = await startTestCoordinator();
    expect(expectStatus(await client.get('/health/live'), 200)).toEqual({ status: 'live' });
    expect(expectStatus(await client.get('/health/ready'), 200)).toEqual({ status: 'ready' });
  });

  it('is not ready where the periodic jobs have stopped', async () => {
    const coordinator = await startTestCoordinator();
    const { client, clock } = coordinator;
    const housekeeping = async (): Promise<{ not_before_at: number; leased_by: string | null } | undefined> =>
      coordinator.context.db.read
        .selectFrom('outbox')
        .select(['not_before_at', 'leased_by'])
        .where('topic', '=', 'every:housekeeping')
        .executeTakeFirst();
    await until(async () => (await housekeeping())?.leased_by === null, 'the first housekeeping');
    // The wall clock moves, but no timer fires.
    const nextAt = (await housekeeping())?.not_before_at ?? 0;
    clock.jump(nextAt + 60_000 - clock.now());
    expectStatus(await client.get('/health/ready'), 200);
    clock.jump(1);
    const answer = await client.get('/health/ready');
    expect(answer).toMatchObject({ status: 503, body: { code: 'SERVICE_UNAVAILABLE' } });
    expect(answer.body['detail']).toBe('The periodic jobs do not run.');
    expectStatus(await client.get('/health/live'), 200);
  });

  it('is not ready where the database has not had every migration, or cannot be read', async () => {
    const { client, context } = await startTestCoordinator();
    await context.db.write((trx) => trx.deleteFrom('migrations').where('name', '=', '0002-spine').execute());
    expect((await client.get('/health/ready')).body['detail']).toBe('The database is not up to date.');
    await context.db.close();
    const answer = await client.get('/health/ready');
    expect(answer.status).toBe(503);
    expect(answer.body['detail']).toBe('The database cannot be read.');
  });
});

describe('metrics', () => {
  it('tell on a port of their own what happens', async () => {
    const coordinator = await startTestCoordinator({ config: { metricsPort: 0 } });
    await makeAccount(coordinator, 'ada');
    await coordinator.client.get('/nothing');
    const { metricsUrl } = await coordinator.listen();
    if (metricsUrl === null) throw new Error('there is no address');
    expect(new URL(metricsUrl).hostname).toBe('127.0.0.1');
    const answer = await fetch(metricsUrl);
    expect(answer.headers.get('content-type')).toBe(
      'application/openmetrics-text; version=1.0.0; charset=utf-8',
    );
    const text = await answer.text();
    expect(text).toContain('dc_http_requests_total{method="POST",route="/api/v1/accounts",status="201"} 1\n');
    expect(text).toContain('dc_http_requests_total{method="GET",route="(none)",status="404"} 1\n');
    expect(text).toContain(
      'dc_http_request_duration_seconds_count{method="POST",route="/api/v1/accounts"} 1\n',
    );
    for (const name of [
      'dc_build_info{version="0.0.0-test"',
      'dc_event_streams 0',
      'dc_event_loop_lag_seconds',
      'process_resident_memory_bytes',
    ])
      expect(text).toContain(name);
    expect(text.endsWith('# EOF\n')).toBe(true);
    expect((await fetch(new URL('/', metricsUrl))).status).toBe(404);
  });

  it('say which port is in use, and what to do', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void other.close());
    const { port } = other.address() as AddressInfo;
    await expect(listenMetrics(new MetricsRegistry(), port)).rejects.toMatchObject({ code: 'PORT_IN_USE' });
  });
});

describe('the registry', () => {
  it('writes counters, histograms and gauges as OpenMetrics', async () => {
    const registry = new MetricsRegistry();
    const seen = registry.counter({ name: 'seen', help: 'Seen.', labels: ['what'] });
    seen.add(['a "b"\n\\']);
    seen.add(['a "b"\n\\'], 2);
    const sizes = registry.histogram({ name: 'size', help: 'Sizes.', labels: ['x'] }, [1, 10]);
    for (const value of [0.5, 1, 5, 50]) sizes.observe(['y'], value);
    registry.gauge({ name: 'now', help: 'Now.' }, () => [{ labels: [], value: 7 }]);
    expect(await registry.render()).toBe(
      [
        '# TYPE seen counter',
        '# HELP seen Seen.',
        'seen_total{what="a \\"b\\"\\n\\\\"} 3',
        '# TYPE size histogram',
        '# HELP size Sizes.',
        'size_bucket{x="y",le="1"} 2',
        'size_bucket{x="y",le="10"} 3',
        'size_bucket{x="y",le="+Inf"} 4',
        'size_count{x="y"} 4',
        'size_sum{x="y"} 56.5',
        '# TYPE now gauge',
        '# HELP now Now.',
        'now 7',
        '# EOF',
        '',
      ].join('\n'),
    );
  });

  it('leaves out a gauge that fails, and still tells the rest', async () => {
    const registry = new MetricsRegistry();
    registry.gauge({ name: 'broken', help: 'Broken.' }, () => Promise.reject(new Error('no database')));
    registry.gauge({ name: 'fine', help: 'Fine.' }, () => [{ labels: [], value: 1 }]);
    const text = await registry.render();
    expect(text).not.toContain('broken');
    expect(text).toContain('fine 1');
  });

  it('takes only so many series', async () => {
    const registry = new MetricsRegistry();
    const counter = registry.counter({ name: 'c', help: 'C.', labels: ['x'] });
    for (let count = 0; count < 6000; count += 1) counter.add([count]);
    expect((await registry.render()).match(/^c_total/gm)).toHaveLength(5000);
  });
});
