import { NO_CONTRACT } from '@dc/shared/evidence/record';
import type { WireAttention, WireProviderMetrics, WireUptime } from '@dc/shared/wire/trust';
import type { WireExplanation } from '@dc/shared/wire/explanation';
import { describe, expect, it } from 'vitest';
import { expectStatus, makeAccount } from '../testing/people.ts';
import { openMarket, rent, rentUntilActive, type Market } from '../testing/rental.ts';

const MINUTE_MS = 60_000;
const of = ({ provider }: Market, name: string) => `/providers/${provider.key.publicKey}/${name}`;

async function uptimeOf(market: Market) {
  const body = expectStatus(await market.coordinator.client.get<WireUptime>(of(market, 'uptime')), 200);
  return body.agents[0]!;
}

/** Beats every 15 s for so long, as an agent does. */
async function live(market: Market, ms: number, words = {}): Promise<void> {
  for (let past = 0; past < ms; past += 15_000) {
    market.coordinator.clock.jump(15_000);
    await market.agent.beat(words);
  }
}

const announce = (market: Market, draining: boolean, maintenanceUntil: number | null) =>
  market.agent.report('availability', NO_CONTRACT, {
    epoch: 0,
    data: {
      draining,
      maintenance_until: maintenanceUntil === null ? null : new Date(maintenanceUntil).toISOString(),
    },
  });

describe('A provider’s uptime', () => {
  it('is not known before there is data', async () => {
    const market = await openMarket();
    expect(await uptimeOf(market)).toMatchObject({ since: null, uptime: null, outages: [], maintenance: [] });
  });

  it('falls with the time in which no heartbeat came', async () => {
    const market = await openMarket();
    await live(market, 10 * MINUTE_MS);
    expect(await uptimeOf(market)).toMatchObject({ uptime: 1, known_ms: 10 * MINUTE_MS });
    market.coordinator.clock.jump(10 * MINUTE_MS);
    const away = await uptimeOf(market);
    expect(away).toMatchObject({ uptime: 0.5, outage_ms: 10 * MINUTE_MS, outages: [{ to: null }] });
    await market.agent.beat();
    const back = await uptimeOf(market);
    expect(back).toMatchObject({ uptime: 0.5, outage_ms: 10 * MINUTE_MS });
    expect(back.outages).toHaveLength(1);
    expect(back.outages[0]?.to).not.toBeNull();
  });

  it('does not fall in maintenance that was announced before, and its record is named', async () => {
    const market = await openMarket();
    await live(market, 10 * MINUTE_MS);
    const until = market.coordinator.clock.now() + 60 * MINUTE_MS;
    expect(await announce(market, false, until)).toMatchObject({ outcome: 'applied' });
    market.coordinator.clock.jump(30 * MINUTE_MS);
    await market.agent.beat();
    await announce(market, false, null);
    const judged = await uptimeOf(market);
    expect(judged).toMatchObject({ uptime: 1, outage_ms: 0, maintenance_ms: 30 * MINUTE_MS });
    expect(judged.maintenance).toMatchObject([{ kind: 'maintenance', record_seq: 1 }]);
    expect(Date.parse(judged.maintenance[0]!.to!)).toBeLessThan(until);
  });

  it('falls all the same where the announcement came in after the outage', async () => {
    const market = await openMarket();
    await live(market, 10 * MINUTE_MS);
    market.coordinator.clock.jump(10 * MINUTE_MS);
    await market.agent.beat();
    await announce(market, false, market.coordinator.clock.now() - 1);
    expect(await uptimeOf(market)).toMatchObject({ uptime: 0.5, maintenance: [] });
  });

  it('takes no record that says nothing, and keeps it as evidence', async () => {
    const market = await openMarket();
    const words = { epoch: 0, data: { draining: 'perhaps' } };
    expect(await market.agent.report('availability', NO_CONTRACT, words)).toEqual({
      seq: 1,
      outcome: 'not_applied',
      code: 'RECORD_INVALID',
    });
  });
});

describe('A provider’s metrics', () => {
  it('are null where nothing was delivered, and count what was', async () => {
    const market = await openMarket();
    const get = async () =>
      expectStatus(await market.coordinator.client.get<WireProviderMetrics>(of(market, 'metrics')), 200);
    expect(await get()).toMatchObject({ contracts: { ordered: 0 }, delivery_ms: null });
    await rentUntilActive(market);
    await rent(market);
    expect(await get()).toMatchObject({
      contracts: { ordered: 2, delivered: 1, failed: 0 },
      delivery_ms: { count: 1 },
    });
  });
});

describe('What a provider has to look at', () => {
  const explanation = (contract_id: string): WireExplanation => ({
    contract_id,
    desired: 'running, by order x',
    observed: 'absent',
    next_step: 'wait',
    blocked_by: { code: 'lease_lost', text: 'The lease is lost.', remedy: 'Nothing to do.' },
    since: '2026-11-20T12:00:00.000Z',
    last_attempts: [],
    command: 'dc-agent doctor',
  });

  it('is told in the words of its agents, to it and to admins alone', async () => {
    const market = await openMarket();
    const { coordinator, provider, renter, agent, offering } = market;
    const { id } = await rent(market);
    await agent.beat({
      blocked: [explanation(id)],
      healthy: false,
      capabilities: {
        destruction_paused: { waiting: 4, since: '2026-11-20T12:00:00.000Z' },
        orphans_total: 1,
        orphans: [{ id: 'vm-1', contract_id: id, first_seen_at: '2026-11-20T12:00:00.000Z', times_seen: 3 }],
      },
    });
    const path = of(market, 'attention');
    const get = (key: typeof renter) => coordinator.client.get<WireAttention>(path, { key });
    const body = expectStatus(await get(provider.key), 200);
    expect(body).toMatchObject({
      blocked: [{ agent: agent.key.publicKey, explanation: explanation(id) }],
      destruction_paused: [{ waiting: 4, command: 'dc-agent confirm' }],
      orphans: [{ total: 1, instances: [{ id: 'vm-1', contract_id: id }] }],
      unserved_offerings: [{ id: offering.id, out_of_stock: 'unhealthy' }],
    });
    expect((await get(renter)).status).toBe(403);
    expect((await get(await makeAccount(coordinator, 'else'))).status).toBe(403);
    await coordinator.context.db.write((trx) => trx.updateTable('accounts').set({ is_admin: 1 }).execute());
    expect((await get(renter)).status).toBe(200);
  });

  it('takes nothing from capabilities that has another form', async () => {
    const market = await openMarket();
    await market.agent.beat({
      capabilities: { destruction_paused: 'yes', orphans: [null, { id: 5 }], orphans_total: 1 },
    });
    const answer = await market.coordinator.client.get<WireAttention>(of(market, 'attention'), {
      key: market.provider.key,
    });
    expect(expectStatus(answer, 200)).toMatchObject({ destruction_paused: [], orphans: [{ instances: [] }] });
  });

  it('names paid orders that nobody took', async () => {
    const market = await openMarket();
    const { id } = await rent(market);
    await market.agent.beat({ draining: true });
    const answer = await market.coordinator.client.get<WireAttention>(of(market, 'attention'), {
      key: market.provider.key,
    });
    expect(expectStatus(answer, 200).unserved_contracts).toMatchObject([{ id, state: 'rejected' }]);
  });
});
