import { beforeEach, describe, expect, it } from 'vitest';
import { openEvents } from '../testing/event-client.ts';
import { makeAgent, makeOffering, makePool } from '../testing/people.ts';
import { addAgent, cancel, openMarket, rent, rentAndLease, type Market } from '../testing/rental.ts';
import { startTestCoordinator } from '../testing/test-coordinator.ts';

let market: Market;
beforeEach(async () => {
  market = await openMarket();
});

const listen = (agent = market.agent, coordinator = market.coordinator) =>
  openEvents(coordinator, '/agents/stream', { key: agent.key });
const WORK = { event: 'work', id: null, data: {} };

describe('the stream of an agent', () => {
  it('begins with a greeting, so that a reconnecting agent looks for work', async () => {
    const stream = await listen();
    expect(await stream.event(1)).toEqual({
      event: 'hello',
      id: null,
      data: { agent: market.agent.key.publicKey },
    });
  });

  it('nudges for a contract that was paid, and for one that must go', async () => {
    const stream = await listen();
    await stream.event(1);
    const { id } = await rentAndLease(market);
    expect(await stream.event(2)).toEqual(WORK);
    await cancel(market, id);
    expect(await stream.event(3)).toEqual(WORK);
  });

  it('nudges for an order that another agent handed back without having made anything', async () => {
    const near = await addAgent(market, 'near');
    const { id, lease } = await rentAndLease(market);
    const stream = await listen(near);
    await stream.event(1);
    await market.agent.giveBack(lease, true);
    expect(await stream.event(2)).toEqual(WORK);
    expect(await near.leaseOne()).toMatchObject({ contract_id: id, epoch: 2 });
  });

  it('nudges every agent of the pool, and none of another', async () => {
    const { coordinator, provider } = market;
    const farPool = { key: provider.key, poolId: await makePool(coordinator, provider.key, 'FR') };
    const far = await addAgent({ coordinator, provider: farPool }, 'far');
    const near = await addAgent(market, 'near');
    const streams = await Promise.all([listen(), listen(near), listen(far)]);
    await Promise.all(streams.map((stream) => stream.event(1)));
    await rent(market);
    await Promise.all(streams.slice(0, 2).map((stream) => stream.event(2)));

    const offering = await makeOffering(coordinator, farPool, { country: 'FR' });
    await rent({ ...market, offering });
    await streams[2]?.event(2);
    expect(streams.map(({ events }) => events.map(({ event }) => event))).toEqual(
      Array(3).fill(['hello', 'work']),
    );
  });

  it('nudges through whichever coordinator it is open', async () => {
    const { folder, clock } = market.coordinator;
    const second = await startTestCoordinator({ folder, clock });
    const stream = await listen(market.agent, second);
    await stream.event(1);
    await rent(market);
    await clock.advance(500);
    expect(await stream.event(2)).toEqual(WORK);
  });

  it('is for agents that may fetch contracts', async () => {
    const asRenter = await openEvents(market.coordinator, '/agents/stream', { key: market.renter });
    expect(asRenter.status).toBe(403);
    const options = { name: 'mute', permissions: ['heartbeat' as const] };
    const mute = await makeAgent(market.coordinator, market.provider, options);
    expect((await openEvents(market.coordinator, '/agents/stream', { key: mute })).status).toBe(403);
  });
});
