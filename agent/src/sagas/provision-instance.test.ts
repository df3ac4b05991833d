import { afterEach, describe, expect, it } from 'vitest';
import { anOrder, CONTRACT_ID } from '../journal/testing/builders.ts';
import { settle } from '@dc/shared/testing/manual-clock';
import { tempDirs } from '../testing/temp-dir.ts';
import { AgentWorld, type WorldOptions } from './testing/agent-world.ts';

const tempDir = tempDirs();
const worlds: AgentWorld[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close();
});

async function newWorld(options: WorldOptions = {}): Promise<AgentWorld> {
  const world = new AgentWorld(await tempDir(), options);
  worlds.push(world);
  return world;
}

/** Takes the backend's only place. */
function fill({ backend }: AgentWorld): void {
  const object = { id: 'other', seal: null, contractId: 'other', token: 'other', port: 1, spec: {} };
  backend.objects.set(object.id, { ...object, power: 'running' });
}

describe('Provisioning', () => {
  it('makes one sealed instance and reports it with access and stages', async () => {
    const world = await newWorld();
    const life = world.start();
    life.receive(anOrder());
    await life.rest();
    const view = life.journal.contract(CONTRACT_ID)!;
    expect(world.instancesOf(CONTRACT_ID)).toBe(1);
    expect(view.instance).toMatchObject({ phase: 'running' });
    const [record, ...more] = life.records();
    expect(more).toEqual([]);
    const handle = view.instance!.handle!;
    expect(record).toMatchObject({
      kind: 'provisioned',
      contract_id: CONTRACT_ID,
      epoch: 1,
      environment: 'test',
    });
    expect(record!.data).toMatchObject({
      handle_id: handle.id,
      access: { host: '127.0.0.1', user: 'renter', host_key: view.instance!.ssh!.hostKey },
      stages: [{ name: 'create' }, { name: 'wait_for_ssh' }],
    });
    expect(life.outboxCalls).toBe(1);
  });

  it('calls the backend in the same turn in which the order came, after one commit', async () => {
    const world = await newWorld();
    const life = world.start();
    life.receive(anOrder());
    expect(life.moments).toEqual([
      'before commit orders.received',
      'after commit orders.received',
      'before create',
    ]);
    await life.rest();
    expect(life.commits).toHaveLength(3);
  });

  it('asks nobody twice when the same order is delivered again', async () => {
    const world = await newWorld();
    const life = world.start();
    life.receive(anOrder());
    life.receive(anOrder());
    await life.rest();
    life.receive(anOrder());
    await life.rest();
    expect(life.moments.filter((moment) => moment === 'before create')).toHaveLength(1);
    expect(life.records()).toHaveLength(1);
  });

  it('gives up when SSH never answers: undone, and reported as failed with what was in the way', async () => {
    const world = await newWorld();
    world.sshAnswers = false;
    const life = world.start();
    life.receive(anOrder());
    await life.rest();
    expect(world.backend.objects.size).toBe(0);
    expect(life.records().map(({ kind, data }) => [kind, data['code'], data['detail']])).toEqual([
      [
        'failed',
        'INSTANCE_UNREACHABLE',
        'The instance did not answer on its SSH port: the connection was refused.',
      ],
    ]);
    expect(life.journal.contract(CONTRACT_ID)!.instance).toBeNull();
  });

  it('tries again after a failure that may pass, at a time that is in the journal', async () => {
    const world = await newWorld();
    world.backend.inject({ on: 'create', what: 'error' });
    world.backend.inject({ on: 'create', what: 'done_but_failed' });
    const life = world.start();
    life.receive(anOrder());
    await settle();
    const events = life.journal.contract(CONTRACT_ID)!.sagas[0]!.events;
    expect(events.at(-1)).toMatchObject({ event: 'failed', data: { code: 'PROVISIONER_UNAVAILABLE' } });
    await life.rest();
    expect(world.instancesOf(CONTRACT_ID)).toBe(1);
    expect(life.records().map(({ kind }) => kind)).toEqual(['provisioned']);
  });

  it('hands the order back, and fails nothing, when the backend has no room and nothing was made', async () => {
    const world = await newWorld({ instancesMax: 1 });
    const life = world.start();
    fill(world);
    life.receive(anOrder());
    await life.rest();
    expect(life.records()).toEqual([]);
    const [order] = life.journal.undeliveredReturns(10);
    expect(order!.returned).toMatchObject({ code: 'capacity', nothingMade: true });
    expect(life.journal.contractIds('live')).toEqual([]);
    world.backend.objects.delete('other');
    life.receive(anOrder({ epoch: 2 }));
    await life.rest();
    expect(life.records()).toMatchObject([{ kind: 'provisioned', epoch: 2 }]);
  });

  it('does not hand back what it may have made: a refusal after a lost reply is a failure', async () => {
    const world = await newWorld({ instancesMax: 1 });
    world.backend.inject({ on: 'create', what: 'error' });
    const life = world.start();
    life.receive(anOrder());
    await settle();
    fill(world);
    await life.rest();
    expect(life.journal.undeliveredReturns(10)).toEqual([]);
    expect(life.records()).toMatchObject([{ kind: 'failed', data: { code: 'PROVISIONER_EXHAUSTED' } }]);
  });

  it('finds a create whose reply was lost, and makes no second instance', async () => {
    const world = await newWorld();
    world.backend.inject({ on: 'create', what: 'reply_lost' });
    const life = world.start();
    life.receive(anOrder());
    await life.rest();
    expect(world.instancesOf(CONTRACT_ID)).toBe(1);
    expect(life.records().map(({ kind }) => kind)).toEqual(['provisioned']);
    expect(life.moments.filter((moment) => moment === 'before create')).toHaveLength(2);
  });

  it('reports again under the new epoch when the work is leased again, with the instance that is there', async () => {
    const world = await newWorld();
    const life = world.start();
    life.receive(anOrder());
    await life.rest();
    const before = life.journal.contract(CONTRACT_ID)!.instance!.handle;
    life.receive(anOrder({ epoch: 3 }));
    await life.rest();
    expect(life.records().map(({ kind, epoch }) => [kind, epoch])).toEqual([
      ['provisioned', 1],
      ['provisioned', 3],
    ]);
    expect(life.journal.contract(CONTRACT_ID)!.instance!.handle).toEqual(before);
  });

  it('never destroys on failure what an earlier saga made and reported', async () => {
    const world = await newWorld();
    const life = world.start();
    life.receive(anOrder());
    await life.rest();
    world.sshAnswers = false;
    life.receive(anOrder({ epoch: 2 }));
    await life.rest();
    expect(world.instancesOf(CONTRACT_ID)).toBe(1);
    expect(life.records().map(({ kind }) => kind)).toEqual(['provisioned', 'failed']);
  });

  it('waits when another server answers at the address, and does not lead the renter there', async () => {
    const world = await newWorld();
    const life = world.start();
    let probes = 0;
    world.onProbe = () => void (probes += 1);
    world.answersWith = 'SHA256:somebody else';
    life.receive(anOrder());
    await world.clock.advance(1_000);
    expect(life.records()).toEqual([]);
    world.answersWith = null;
    await life.rest();
    expect(probes).toBeGreaterThan(3);
    expect(life.records().map(({ kind }) => kind)).toEqual(['provisioned']);
  });
});
