/** What goes on in a safe mode, and what does not: jobs and money that nobody has thought of are held. */
import { describe, expect, it } from 'vitest';
import { defineTopic } from '../jobs/outbox.ts';
import { paymentReceived, refundDecided } from '../payments/ledger.ts';
import { openMarket, pass, rent, rentUntilActive, type Market } from '../testing/rental.ts';
import { jobGuard } from './guard.ts';
import { enterSafeMode } from './safe-mode.ts';
import { endSafeMode, findSafeMode } from './safe-mode-store.ts';

async function turnOn({ coordinator: { context } }: Market): Promise<string> {
  const why = { cause: 'admin', detail: 'A test.', agent_key: null, proof: null } as const;
  await context.db.write((trx) => enterSafeMode(context, trx, why));
  return (await findSafeMode(context.db.read))!.id;
}

describe('In a safe mode', () => {
  it('a job of any topic is held but those that are named harmless', async () => {
    const market = await openMarket();
    await turnOn(market);
    const mayRun = jobGuard(market.coordinator.context.db);
    for (const topic of ['payment.refund', 'contract.deadline', 'every:releases', 'what.comes.next'])
      await expect(mayRun(topic)).rejects.toMatchObject({ code: 'COORDINATOR_SAFE_MODE' });
    await mayRun('every:housekeeping');
    await mayRun('every:mark');
  });

  it('rows wait as long as it takes, lose no attempt, and are carried out when it is over', async () => {
    const market = await openMarket();
    const { id } = await rent(market);
    const on = await turnOn(market);
    const { context } = market.coordinator;
    await context.db.write((trx) =>
      context.outbox.enqueue(trx, defineTopic<{ contractId: string }>('contract.deadline'), {
        key: 'a test',
        payload: { contractId: id },
      }),
    );
    const row = () =>
      context.db.read.selectFrom('outbox').selectAll().where('key', '=', 'a test').executeTakeFirstOrThrow();
    for (let minutes = 0; minutes < 5; minutes += 1) await pass(market.coordinator, 60_000);
    expect(await row()).toMatchObject({ done_at: null, needs_attention_at: null, attempts: 0 });
    await context.db.write((trx) => endSafeMode(trx, on, context.clock.now()));
    await pass(market.coordinator, 60_000);
    await expect.poll(async () => (await row()).done_at).not.toBeNull();
  });

  it('of money only what comes in is booked', async () => {
    const market = await openMarket();
    const { id } = await rentUntilActive(market);
    await turnOn(market);
    const { context } = market.coordinator;
    const amount = { amountE9s: 5n, currency: 'USD' };
    await expect(
      context.db.write((trx) =>
        context.ledger.append(trx, refundDecided({ cause: 'a test', contractId: id, amount })),
      ),
    ).rejects.toMatchObject({ code: 'COORDINATOR_SAFE_MODE' });
    const received = paymentReceived({ cause: 'another', contractId: id, method: 'test', paid: amount });
    expect(await context.db.write((trx) => context.ledger.append(trx, received))).toBe('posted');
  });

  it('metrics say so', async () => {
    const market = await openMarket();
    const { metrics, context } = market.coordinator;
    metrics.observe(context, 'test');
    expect(await metrics.registry.render()).toContain('dc_safe_mode 0');
    await turnOn(market);
    expect(await metrics.registry.render()).toContain('dc_safe_mode 1');
    metrics.stop();
  });
});
