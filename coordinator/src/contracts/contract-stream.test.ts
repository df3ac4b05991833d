import { beforeEach, describe, expect, it } from 'vitest';
import type { WireContract } from '@dc/shared/wire/contract';
import { openEvents, type EventClient } from '../testing/event-client.ts';
import { makeAccount } from '../testing/people.ts';
import { atPrivateAddress, cancel, look, openMarket, reaches, rent, type Market } from '../testing/rental.ts';
import { startTestCoordinator, until } from '../testing/test-coordinator.ts';

let market: Market;
let id: string;
beforeEach(async () => {
  market = await openMarket();
  ({ id } = await rent(market));
});

const follow = (lastEventId?: string, on = market): Promise<EventClient> =>
  openEvents(on.coordinator, `/contracts/${id}/events`, {
    key: market.renter,
    ...(lastEventId === undefined ? {} : { lastEventId }),
  });
const contractIn = (event: { data: unknown }): WireContract => event.data as WireContract;

describe('the stream of a contract', () => {
  it('begins with the contract as it is', async () => {
    const stream = await follow();
    const first = await stream.event(1);
    const contract = await look(market, id);
    expect(first).toEqual({ event: 'contract', id: String(contract.version), data: contract });
    expect(stream.status).toBe(200);
  });

  it('brings every change once, with ids that rise', async () => {
    const stream = await follow();
    await stream.event(1);
    await market.agent.lease();
    expect(contractIn(await stream.event(2)).state).toBe('provisioning');
    await market.agent.report('provisioned', id, { data: atPrivateAddress });
    await reaches(market, id, 'active');
    await until(() => contractIn(stream.events.at(-1)!).state === 'active', 'the event of its activation');
    await cancel(market, id);
    await until(() => contractIn(stream.events.at(-1)!).payment.status === 'refunded', 'the refund');
    const ids = stream.events.map((event) => Number(event.id));
    expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
    expect(contractIn(stream.events.at(-1)!)).toEqual(await look(market, id));
  });

  it('goes on where the client left it, and skips what it has seen', async () => {
    const first = await follow();
    const { id: seen } = await first.event(1);
    first.leave();
    await market.agent.lease();
    const second = await follow(seen!);
    const next = await second.event(1);
    expect(contractIn(next).state).toBe('provisioning');
    second.leave();

    const third = await follow(next.id!);
    await cancel(market, id);
    expect(contractIn(await third.event(1)).state).toBe('cancelled');
  });

  it.each(['', 'abc', '-1', '1.5', '1000000', '99999999999999999999', 'NaN'])(
    'begins anew for a Last-Event-ID of %j',
    async (lastEventId) => {
      const stream = await follow(lastEventId);
      expect(contractIn(await stream.event(1)).id).toBe(id);
    },
  );

  it('is brought by each of several coordinators, whoever made the change', async () => {
    const { folder, clock } = market.coordinator;
    const second = { ...market, coordinator: await startTestCoordinator({ folder, clock }) };
    const stream = await follow(undefined, second);
    await stream.event(1);
    await market.agent.lease();
    await clock.advance(500);
    expect(contractIn(await stream.event(2)).state).toBe('provisioning');
  });

  it('is open to its provider, and to nobody else', async () => {
    const path = `/contracts/${id}/events`;
    const asProvider = await openEvents(market.coordinator, path, { key: market.provider.key });
    expect(contractIn(await asProvider.event(1)).id).toBe(id);
    const stranger = await makeAccount(market.coordinator, 'stranger');
    const refused = await openEvents(market.coordinator, path, { key: stranger });
    expect(refused.status).toBe(404);
    await until(() => refused.isClosed);
    expect(refused.text).toContain('CONTRACT_NOT_FOUND');
  });

  it('ends when the coordinator stops', async () => {
    const stream = await follow();
    await stream.event(1);
    await market.coordinator.stop(1000);
    await until(() => stream.isClosed, 'the end of the stream');
  });

  it('leaves nothing behind when its client goes', async () => {
    const { streams } = market.coordinator.context;
    const opened = await Promise.all(Array.from({ length: 5 }, () => follow()));
    await Promise.all(opened.map((stream) => stream.event(1)));
    expect(streams.size).toBe(5);
    for (const stream of opened) stream.leave();
    await until(() => streams.size === 0, 'the end of the streams');
    await cancel(market, id);
    expect(market.coordinator.logged.filter(({ level }) => level >= 50)).toEqual([]);
  });
});
