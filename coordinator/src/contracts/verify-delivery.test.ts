import { describe, expect, it } from 'vitest';
import {
  closedPort,
  makeHostKey,
  startGate,
  startOtherServer,
  startSshServer,
} from '../testing/ssh-server.ts';
import {
  atPrivateAddress,
  cancel,
  contractBecomes,
  destroyInstance,
  look,
  openMarket,
  pass,
  reaches,
  rentAndLease,
  settledMoney,
  type Market,
} from '../testing/rental.ts';
import { startTestCoordinator, until } from '../testing/test-coordinator.ts';
import { verifyDelivery } from './verify-delivery.ts';

const PRICE = 100_000_000n;
const VERIFY_TIMEOUT_MS = 60_000;

/** A contract whose instance the agent reports at `port` of loopback, with this host key. */
async function deliver(market: Market, port: number, hostKey: string, host = '127.0.0.1'): Promise<string> {
  const { id, lease } = await rentAndLease(market);
  const data = { access: { host, port, user: 'root', host_key: hostKey } };
  expect(await market.agent.report('provisioned', id, { epoch: lease.epoch, data })).toMatchObject({
    outcome: 'applied',
  });
  return id;
}

/** Waits for the coordinator's attempt to look, which fails. */
async function failedLooks({ coordinator }: Market, atLeast: number): Promise<void> {
  await until(async () => {
    const row = await coordinator.context.db.read
      .selectFrom('outbox')
      .select(['attempts', 'leased_by', 'last_error'])
      .where('topic', '=', 'contract.verify')
      .executeTakeFirstOrThrow();
    if (row.last_error !== null) expect(row.last_error).toContain('INSTANCE_UNREACHABLE');
    return row.attempts >= atLeast && row.leased_by === null;
  }, `look number ${atLeast}`);
}

describe('a delivery', () => {
  it('is believed when the coordinator sees the host key that the agent reported', async () => {
    const market = await openMarket();
    const key = makeHostKey();
    const id = await deliver(market, await startSshServer([key.parsed]), key.line);
    const active = await reaches(market, id, 'active');
    expect(active).toMatchObject({ verified_by: 'coordinator', last_error: null });
    expect(active.timeline.at(-1)?.reason).toContain('saw the SSH host key');
  });

  it('fails, with all of the money back, when another host key answers there', async () => {
    const market = await openMarket();
    const port = await startSshServer([makeHostKey().parsed]);
    const id = await deliver(market, port, makeHostKey().line);
    const failed = await contractBecomes(market, id, ({ payment }) => payment.status === 'refunded');
    expect(failed).toMatchObject({
      state: 'failed',
      release: 'pending',
      verified_by: null,
      active_at: null,
      access: null,
      refunded: { amount_e9s: PRICE.toString() },
      last_error: {
        code: 'INSTANCE_UNREACHABLE',
        detail: expect.stringContaining('Another SSH host key') as string,
      },
    });
    expect(await settledMoney(market, id)).toEqual({ paid: PRICE, released: 0n, refunded: PRICE });
    await destroyInstance(market, id);
  });

  it('is looked for again until it answers', async () => {
    const market = await openMarket();
    const key = makeHostKey();
    const port = await closedPort();
    const id = await deliver(market, port, key.line);
    await failedLooks(market, 1);
    expect(await look(market, id)).toMatchObject({ state: 'provisioned', active_at: null });
    await startSshServer([key.parsed], port);
    await pass(market.coordinator, 5000);
    expect(await reaches(market, id, 'active')).toMatchObject({ verified_by: 'coordinator' });
  });

  it('that never answers counts by the agent’s own check, after the time for looking', async () => {
    const market = await openMarket();
    const id = await deliver(market, await closedPort(), makeHostKey().line);
    await failedLooks(market, 1);
    await pass(market.coordinator, VERIFY_TIMEOUT_MS / 2);
    await failedLooks(market, 2);
    expect(await look(market, id)).toMatchObject({ state: 'provisioned' });
    await pass(market.coordinator, VERIFY_TIMEOUT_MS / 2);
    const active = await reaches(market, id, 'active');
    expect(active).toMatchObject({ verified_by: 'agent' });
    expect(active.timeline.at(-1)?.reason).toContain('cannot reach the instance');
    // The renter pays from now on, not from the report.
    expect(Date.parse(active.active_at!) - Date.parse(active.timeline.at(-2)!.at)).toBeGreaterThanOrEqual(
      VERIFY_TIMEOUT_MS,
    );
  });

  it('where something else than SSH answers shows no other host key', async () => {
    const market = await openMarket();
    const server = await startOtherServer('HTTP/1.1 200 OK\r\n\r\n');
    const id = await deliver(market, server.port, makeHostKey().line);
    await server.visited;
    await pass(market.coordinator, VERIFY_TIMEOUT_MS);
    await market.coordinator.clock.advance(5000);
    expect(await reaches(market, id, 'active')).toMatchObject({ verified_by: 'agent' });
  });

  it.each(['10.1.2.3', '169.254.169.254', 'fd00::1', 'vm.internal.example'])(
    'at %s is not looked at: the agent’s own check counts at once',
    async (host) => {
      const market = await openMarket();
      const id = await deliver(market, 22, makeHostKey().line, host);
      expect(await reaches(market, id, 'active')).toMatchObject({ verified_by: 'agent' });
    },
  );

  it('on this machine is not looked at by a coordinator that the world can reach', async () => {
    const coordinator = await startTestCoordinator({ config: { publicUrl: 'https://rent.example.net' } });
    const market = await openMarket({ coordinator });
    // With the wrong key: whoever looked would see it.
    const gate = await startGate(await startSshServer([makeHostKey().parsed]));
    let wasVisited = false;
    void gate.visited.then(() => (wasVisited = true));
    const id = await deliver(market, gate.port, makeHostKey().line);
    expect(await reaches(market, id, 'active')).toMatchObject({ verified_by: 'agent' });
    expect(wasVisited).toBe(false);
  });

  it('that was cancelled while the coordinator looked stays cancelled', async () => {
    const market = await openMarket();
    const key = makeHostKey();
    const gate = await startGate(await startSshServer([key.parsed]));
    const id = await deliver(market, gate.port, key.line);
    await gate.visited;
    await cancel(market, id);
    gate.open();
    await until(async () => {
      const row = await market.coordinator.context.db.read
        .selectFrom('outbox')
        .select('done_at')
        .where('topic', '=', 'contract.verify')
        .executeTakeFirstOrThrow();
      return row.done_at !== null;
    }, 'the end of the look');
    expect(await look(market, id)).toMatchObject({ state: 'cancelled', active_at: null, verified_by: null });
    expect(await settledMoney(market, id)).toEqual({ paid: PRICE, released: 0n, refunded: PRICE });
  });

  it('is verified once, however often the job runs', async () => {
    const market = await openMarket();
    const { id, lease } = await rentAndLease(market);
    await market.agent.report('provisioned', id, { epoch: lease.epoch, data: atPrivateAddress });
    const active = await reaches(market, id, 'active');
    await market.coordinator.clock.advance(5000);
    await verifyDelivery(market.coordinator.context, id);
    const { stages: _stages, refund_if_cancelled_now: _refund, ...same } = active;
    expect(await look(market, id)).toMatchObject(same);
  });

  it('of a contract that nobody knows is nothing to do', async () => {
    const { context } = await startTestCoordinator();
    await expect(verifyDelivery(context, '01993b5e-0000-7000-8000-000000000000')).resolves.toBeUndefined();
  });
});
