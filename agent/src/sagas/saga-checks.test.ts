/** The checks of `testing/saga-checks.ts` on every saga: steps that run twice, and failures at every step. */
import type { OrderSpec } from '@dc/shared/orders/order';
import { afterEach, describe, expect, it } from 'vitest';
import { anOrder, CONTRACT_ID } from '../journal/testing/builders.ts';
import { settle } from '@dc/shared/testing/manual-clock';
import { tempDirs } from '../testing/temp-dir.ts';
import { allSagas } from './all-sagas.ts';
import type { SagaName } from './saga-inputs.ts';
import type { SagaParts } from './saga-parts.ts';
import { AgentWorld, type WorldOptions } from './testing/agent-world.ts';
import { callNames, failingAt, twice } from './testing/saga-checks.ts';

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

/** The names of a saga's steps with a call; they do not depend on the parts. */
const stepsOf = (name: SagaName): string[] => {
  const definition = allSagas({} as SagaParts).find((saga) => saga.name === name);
  return callNames(definition!);
};

describe('Every step running twice', () => {
  it('makes one instance and one report, and releases it with one report', async () => {
    const world = await newWorld({ wrap: twice });
    const life = world.start();
    life.receive(anOrder());
    await life.rest();
    expect(world.instancesOf(CONTRACT_ID)).toBe(1);
    life.receive(anOrder({ kind: 'stop', epoch: 2 }));
    await life.rest();
    life.receive(anOrder({ kind: 'start', epoch: 3 }));
    await life.rest();
    life.receive(anOrder({ kind: 'destroy', epoch: 4 }));
    await life.rest();
    expect(world.backend.objects.size).toBe(0);
    expect(life.records().map(({ kind }) => kind)).toEqual([
      'provisioned',
      'stopped',
      'started',
      'destroyed',
    ]);
  });

  it('undoes a failed provisioning as if it had been undone once', async () => {
    const world = await newWorld({ wrap: (saga) => twice(failingAt('wait_for_ssh', 'after')(saga)) });
    const life = world.start();
    life.receive(anOrder());
    await life.rest();
    expect(world.backend.objects.size).toBe(0);
    expect(life.records().map(({ kind }) => kind)).toEqual(['failed']);
  });
});

describe('A failure for good', () => {
  for (const step of stepsOf('provision-instance')) {
    for (const moment of ['before', 'after'] as const) {
      it(`at ${step}, ${moment} its call, leaves nothing at the backend`, async () => {
        const world = await newWorld({ wrap: failingAt(step, moment) });
        const life = world.start();
        life.receive(anOrder());
        await life.rest();
        expect(world.backend.objects.size).toBe(0);
        expect(life.records()).toMatchObject([{ kind: 'failed', data: { code: 'PROVISIONER_FOREIGN' } }]);
        expect(life.journal.contract(CONTRACT_ID)!.sagas[0]!.finished).toMatchObject({
          outcome: 'failed',
          epoch: 1,
        });
      });
    }
  }

  for (const step of stepsOf('release-instance')) {
    it(`at ${step} of a release never ends it: it is tried until it works, and says that it needs a person`, async () => {
      let isBroken = true;
      const world = await newWorld({
        wrap: (saga) => {
          const broken = failingAt(step, 'before')(saga);
          const steps = saga.steps.map((sound, index) => {
            const other = broken.steps[index]!;
            if (sound.kind !== 'run' || other.kind !== 'run') return sound;
            return {
              ...sound,
              run: (context: Parameters<typeof sound.run>[0]) => (isBroken ? other : sound).run(context),
            };
          });
          return { ...saga, steps };
        },
      });
      const life = world.start();
      life.receive(anOrder());
      await life.rest();
      life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
      await world.clock.advance(3 * 3_600_000);
      expect(life.records().map(({ kind }) => kind)).toEqual(['provisioned']);
      expect(world.logged.at(-1)).toMatchObject({
        message: 'saga.step.failed',
        fields: { needs_attention: true },
      });
      isBroken = false;
      await life.rest();
      expect(world.backend.objects.size).toBe(0);
      expect(life.records().map(({ kind }) => kind)).toEqual(['provisioned', 'destroyed']);
    });
  }

  it('of an undo keeps it going until it works', async () => {
    const world = await newWorld({ wrap: failingAt('wait_for_ssh', 'after') });
    for (let count = 0; count < 12; count += 1) world.backend.inject({ on: 'destroy', what: 'error' });
    const life = world.start();
    life.receive(anOrder());
    await settle();
    expect(life.records()).toEqual([]);
    await life.rest();
    expect(world.backend.objects.size).toBe(0);
    expect(life.records().map(({ kind }) => kind)).toEqual(['failed']);
  });

  it('that is a bug shows nothing of its text to anybody but the log', async () => {
    const world = await newWorld({
      wrap: (saga) => ({
        ...saga,
        steps: saga.steps.map((step) =>
          step.name === 'create' && step.kind === 'run'
            ? { ...step, run: () => Promise.reject(new TypeError('secret of the vendor')) }
            : step,
        ),
      }),
    });
    const life = world.start();
    life.receive(anOrder());
    await life.rest();
    expect(life.records()).toMatchObject([{ kind: 'failed', data: { code: 'INTERNAL_BUG' } }]);
    expect(JSON.stringify(life.journal.contract(CONTRACT_ID))).not.toContain('secret of the vendor');
    expect(String(world.logged[0]!.fields['err'])).toContain('secret of the vendor');
  });
});

describe('A step that takes the process down every time', () => {
  it('is given up after as many starts as its policy allows', async () => {
    const world = await newWorld();
    // Killed in the middle of create, again and again: the start is on disk, the end never is.
    for (let life = 1; life <= 10; life += 1) {
      const doomed = world.start(3);
      doomed.wakeUp();
      doomed.receive(anOrder());
      await settle();
      expect(doomed.isDead).toBe(true);
      await doomed.end();
    }
    const last = world.start();
    last.wakeUp();
    await last.rest();
    expect(last.records()).toMatchObject([{ kind: 'failed', data: { code: 'SAGA_ABORTED' } }]);
    expect(world.backend.objects.size).toBe(0);
  });
});

describe('A create that the backend carries out after all', () => {
  it('is found and removed when it turns up after its saga was undone, without a report', async () => {
    const world = await newWorld({ wrap: failingAt('wait_for_ssh', 'after') });
    const life = world.start();
    life.receive(anOrder());
    await life.rest();
    const events = life.journal.contract(CONTRACT_ID)!.sagas[0]!.events;
    const names = events.find(({ step, event }) => step === 'names' && event === 'succeeded')!.data as {
      token: string;
    };
    const { contractId, payload } = anOrder();
    const spec = {
      cpu: 1,
      memoryMb: 1,
      diskGb: 1,
      operatingSystem: 'd',
      sshPublicKey: (payload.spec as OrderSpec).ssh_public_key,
      hostname: 'h',
    };
    const late = { contractId, seal: world.sealFor(contractId), token: names.token, spec };
    await life.provisioner.create(late, new AbortController().signal);
    await world.clock.advance(1_000);
    await life.observe(CONTRACT_ID);
    await life.rest();
    expect(world.backend.objects.size).toBe(0);
    expect(life.records().map(({ kind }) => kind)).toEqual(['failed']);
  });

  it('is left alone when its token is not one of ours', async () => {
    const world = await newWorld({ wrap: failingAt('wait_for_ssh', 'after') });
    const life = world.start();
    life.receive(anOrder());
    await life.rest();
    const { contractId, payload } = anOrder();
    const spec = {
      cpu: 1,
      memoryMb: 1,
      diskGb: 1,
      operatingSystem: 'd',
      sshPublicKey: (payload.spec as OrderSpec).ssh_public_key,
      hostname: 'h',
    };
    const other = { contractId, seal: world.sealFor(contractId), token: 'another-agent', spec };
    await life.provisioner.create(other, new AbortController().signal);
    await world.clock.advance(1_000);
    await life.observe(CONTRACT_ID);
    await life.rest();
    expect(world.backend.objects.size).toBe(1);
  });

  it('is destroyed under the tombstone when it turns up after the release', async () => {
    const world = await newWorld();
    const life = world.start();
    life.receive(anOrder());
    await life.rest();
    const [object] = world.backend.objects.values();
    life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
    await life.rest();
    world.backend.objects.set(object!.id, object!);
    await world.clock.advance(1_000);
    await life.observe(CONTRACT_ID);
    await life.rest();
    expect(world.backend.objects.size).toBe(0);
    expect(life.records().map(({ kind }) => kind)).toEqual(['provisioned', 'destroyed', 'destroyed']);
  });
});

describe('A backend that does not show everything', () => {
  it('is not believed by an undo: it waits until it is shown what there is', async () => {
    const world = await newWorld({ wrap: failingAt('create', 'after') });
    world.backend.inject({ on: 'list', what: 'incomplete' });
    world.backend.inject({ on: 'list', what: 'error' });
    const life = world.start();
    life.receive(anOrder());
    await settle();
    expect(life.records()).toEqual([]);
    expect(world.backend.objects.size).toBe(1);
    await life.rest();
    expect(world.backend.objects.size).toBe(0);
    expect(life.records().map(({ kind }) => kind)).toEqual(['failed']);
  });

  it('is not believed by a release after the journal was lost', async () => {
    const world = await newWorld();
    const { contractId, payload } = anOrder();
    const hostname = 'h';
    const key = (payload.spec as OrderSpec).ssh_public_key;
    const spec = { cpu: 1, memoryMb: 1, diskGb: 1, operatingSystem: 'd', sshPublicKey: key, hostname };
    const life = world.start();
    const request = { contractId, seal: world.sealFor(contractId), token: 'of an earlier journal', spec };
    await life.provisioner.create(request, new AbortController().signal);
    world.backend.inject({ on: 'list', what: 'incomplete' });
    life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
    await settle();
    expect(life.records()).toEqual([]);
    await life.rest();
    expect(world.backend.objects.size).toBe(0);
    expect(life.records()).toMatchObject([{ kind: 'destroyed', data: { never_existed: false } }]);
  });

  it('does not hold up the release of an instance whose handle is known', async () => {
    const world = await newWorld();
    const life = world.start();
    life.receive(anOrder());
    await life.rest();
    world.backend.inject({ on: 'list', what: 'incomplete' });
    life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
    await settle();
    expect(life.records().map(({ kind }) => kind)).toEqual(['provisioned', 'destroyed']);
  });
});

describe('An object that is not ours', () => {
  it('is not destroyed by a tombstone, though its handle is in the journal', async () => {
    const world = await newWorld();
    const life = world.start();
    life.receive(anOrder());
    await life.rest();
    const [object] = world.backend.objects.values();
    object!.seal = null;
    life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
    await world.clock.advance(3_600_000);
    expect(world.backend.objects.size).toBe(1);
    expect(life.records().map(({ kind }) => kind)).toEqual(['provisioned']);
    expect(world.logged.at(-1)).toMatchObject({ fields: { code: 'PROVISIONER_FOREIGN' } });
    world.backend.objects.clear();
    await life.rest();
  });
});
