import { afterEach, describe, expect, it } from 'vitest';
import { anOrder, CONTRACT_ID } from '../journal/testing/builders.ts';
import { settle } from '@dc/shared/testing/manual-clock';
import { tempDirs } from '../testing/temp-dir.ts';
import { AgentWorld, type Life } from './testing/agent-world.ts';

const tempDir = tempDirs();
const worlds: AgentWorld[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close();
});

async function newWorld(): Promise<AgentWorld> {
  const world = new AgentWorld(await tempDir());
  worlds.push(world);
  return world;
}

const releasesOf = (life: Life) =>
  life.journal.contract(CONTRACT_ID)!.sagas.filter(({ name }) => name === 'release-instance');

describe('A release', () => {
  it('destroys what a late create makes between its first and its last look, before it reports', async () => {
    const world = await newWorld();
    world.backend.inject({ on: 'create', what: 'late', delayMs: 1_500 });
    for (const delayMs of [300, 300, 2_000]) world.backend.inject({ on: 'list', what: 'late', delayMs });
    const life = world.start();
    life.receive(anOrder());
    await settle();
    life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
    await world.clock.advance(1_600);
    expect(world.instancesOf(CONTRACT_ID)).toBe(1);
    expect(life.records()).toEqual([]);
    await life.rest();
    expect(world.instancesOf(CONTRACT_ID)).toBe(0);
    const [record, ...more] = life.records();
    expect(more).toEqual([]);
    expect(record).toMatchObject({ kind: 'destroyed', data: { never_existed: false } });
    expect(record!.data['handle_ids']).toHaveLength(1);
    expect(releasesOf(life).map(({ finished }) => finished?.epoch)).toEqual([null, 2]);
  });

  it('asks the breaker for what turned up late, too', async () => {
    const world = await newWorld();
    world.destructionsPerHour = 0;
    world.backend.inject({ on: 'create', what: 'late', delayMs: 1_500 });
    for (const delayMs of [300, 300, 2_000]) world.backend.inject({ on: 'list', what: 'late', delayMs });
    const life = world.start();
    life.receive(anOrder());
    await settle();
    life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
    await life.rest();
    expect(world.instancesOf(CONTRACT_ID)).toBe(1);
    expect(life.journal.pausedReleases()).toHaveLength(1);
  });

  it('reports nothing while only an incomplete list says that there is nothing', async () => {
    const world = await newWorld();
    const life = world.start();
    world.backend.inject({ on: 'list', what: 'late', delayMs: 0 });
    world.backend.inject({ on: 'list', what: 'incomplete' });
    life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
    await world.clock.advance(1);
    expect(life.records()).toEqual([]);
    await life.rest();
    expect(life.records()).toMatchObject([{ kind: 'destroyed', data: { never_existed: true } }]);
  });

  it('is taken up again for an instance that turns up after the report', async () => {
    const world = await newWorld();
    world.backend.inject({ on: 'create', what: 'late', delayMs: 60_000 });
    const life = world.start();
    life.receive(anOrder());
    await settle();
    life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
    await world.clock.advance(1_000);
    expect(life.records()).toHaveLength(1);
    await world.clock.advance(60_000);
    expect(world.instancesOf(CONTRACT_ID)).toBe(1);
    await life.observe(CONTRACT_ID);
    await life.rest();
    expect(world.instancesOf(CONTRACT_ID)).toBe(0);
  });
});
