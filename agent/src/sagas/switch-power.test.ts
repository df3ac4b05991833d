import { afterEach, describe, expect, it } from 'vitest';
import { anOrder, CONTRACT_ID } from '../journal/testing/builders.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import { AgentWorld, type Life } from './testing/agent-world.ts';

const tempDir = tempDirs();
const worlds: AgentWorld[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close();
});

/** A world with a running instance, reported. */
async function rented(): Promise<{ world: AgentWorld; life: Life }> {
  const world = new AgentWorld(await tempDir());
  worlds.push(world);
  const life = world.start();
  life.receive(anOrder());
  await life.rest();
  return { world, life };
}

const powerOf = (world: AgentWorld): string => [...world.backend.objects.values()][0]!.power;

describe('Stopping and starting', () => {
  it('switches the instance and reports each under its epoch', async () => {
    const { world, life } = await rented();
    life.receive(anOrder({ kind: 'stop', epoch: 2 }));
    await life.rest();
    expect(powerOf(world)).toBe('stopped');
    expect(life.journal.contract(CONTRACT_ID)!.instance!.phase).toBe('stopped');
    life.receive(anOrder({ kind: 'start', epoch: 3 }));
    await life.rest();
    expect(powerOf(world)).toBe('running');
    expect(life.journal.contract(CONTRACT_ID)!.instance!.phase).toBe('running');
    expect(life.records().map(({ kind, epoch }) => [kind, epoch])).toEqual([
      ['provisioned', 1],
      ['stopped', 2],
      ['started', 3],
    ]);
  });

  it('says in the record when there was nothing left to stop', async () => {
    const { world, life } = await rented();
    world.backend.objects.clear();
    life.receive(anOrder({ kind: 'stop', epoch: 2 }));
    await life.rest();
    expect(life.records()[1]).toMatchObject({ kind: 'stopped', data: { existence: 'absent' } });
  });

  it('reports a failure where the instance that it should start is gone, and builds no other', async () => {
    const { world, life } = await rented();
    life.receive(anOrder({ kind: 'stop', epoch: 2 }));
    await life.rest();
    world.backend.objects.clear();
    life.receive(anOrder({ kind: 'start', epoch: 3 }));
    await life.rest();
    expect(life.records()[2]).toMatchObject({ kind: 'failed', epoch: 3, data: { code: 'INSTANCE_GONE' } });
    expect(world.backend.objects.size).toBe(0);
  });

  it('leaves alone what does not carry the seal', async () => {
    const { world, life } = await rented();
    [...world.backend.objects.values()][0]!.seal = null;
    life.receive(anOrder({ kind: 'stop', epoch: 2 }));
    await world.clock.advance(60_000);
    expect(powerOf(world)).toBe('running');
    expect(world.logged.at(-1)).toMatchObject({ fields: { code: 'PROVISIONER_FOREIGN' } });
    // A tombstone ends the stop that cannot work; the object is still not ours to touch.
    life.receive(anOrder({ kind: 'destroy', epoch: 3 }));
    await world.clock.advance(60_000);
    expect(world.backend.objects.size).toBe(1);
    expect(life.journal.contract(CONTRACT_ID)!.sagas.map(({ finished }) => finished?.outcome)).toEqual([
      'reported',
      'cancelled',
      undefined,
    ]);
  });
});
