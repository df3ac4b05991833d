/** Crashes at every journal write and around every outside call (I4), enumerated and not sampled. */
import type { RecordPayload } from '@dc/shared/evidence/record';
import { confirmReleases } from '../breaker/destruction-breaker.ts';
import { tellLines } from '@dc/shared/testing/told-lines';
import { describe, expect, it } from 'vitest';
import { boxKeyOf, openBox, type SealedBox } from '@dc/shared/crypto/sealed-box';
import { anOrder, CONTRACT_ID, NEXT_SSH_KEY, RENTER_SEED } from '../journal/testing/builders.ts';
import { settle } from '@dc/shared/testing/manual-clock';
import type { AgentWorld, Life } from './testing/agent-world.ts';
import { crashEverywhere, renderCrashes, type Scenario } from './testing/saga-checks.ts';

const TIMEOUT_MS = 120_000; // Hundreds of lives, each with its own files on disk.

/** The end that every scenario shares: nothing open, a whole chain, and exactly these records and instances. */
function expectEnd(
  life: Life,
  world: AgentWorld,
  end: { kinds: RecordPayload['kind'][]; instances: number },
): void {
  expect(life.records().map(({ kind }) => kind)).toEqual(end.kinds);
  expect(world.backend.objects.size).toBe(end.instances);
  expect(world.instancesOf(CONTRACT_ID)).toBe(end.instances);
  const view = life.journal.contract(CONTRACT_ID)!;
  expect(view.sagas.filter(({ finished }) => finished === null)).toEqual([]);
}

const SCENARIOS: Scenario[] = [
  {
    name: 'provisioning',
    play: async (life) => life.receive(anOrder()),
    check: (life, world) => {
      expectEnd(life, world, { kinds: ['provisioned'], instances: 1 });
      const [object] = world.backend.objects.values();
      expect(life.journal.contract(CONTRACT_ID)!.instance).toMatchObject({
        phase: 'running',
        handle: { id: object!.id },
      });
      expect(life.records()[0]!.data).toMatchObject({ handle_id: object!.id });
    },
  },
  {
    name: 'provisioning where SSH never answers',
    prepare: (world) => void (world.sshAnswers = false),
    play: async (life) => life.receive(anOrder()),
    check: (life, world) => expectEnd(life, world, { kinds: ['failed'], instances: 0 }),
  },
  {
    name: 'provisioning where replies get lost',
    prepare: ({ backend }) => {
      backend.inject({ on: 'create', what: 'reply_lost' });
      backend.inject({ on: 'create', what: 'error' });
    },
    play: async (life) => life.receive(anOrder()),
    check: (life, world) => expectEnd(life, world, { kinds: ['provisioned'], instances: 1 }),
  },
  {
    name: 'a release',
    play: async (life) => {
      life.receive(anOrder());
      await life.rest();
      life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
    },
    check: (life, world) => expectEnd(life, world, { kinds: ['provisioned', 'destroyed'], instances: 0 }),
  },
  {
    name: 'a release that the breaker holds back until it is confirmed',
    prepare: (world) => void (world.destructionsPerHour = 0),
    play: async (life, world) => {
      life.receive(anOrder());
      await life.rest();
      life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
      await life.rest();
      const waiting = life.journal.pausedReleases().map(({ sagaId }) => sagaId);
      // Confirmed in this life or in the one before: otherwise nothing may be gone.
      const wasConfirmed = life.journal.contract(CONTRACT_ID)?.instance?.phase === 'destroyed';
      expect(wasConfirmed || waiting.length === 0 || world.backend.objects.size === 1).toBe(true);
      confirmReleases(life.journal, waiting, world.clock.now());
      life.runner.nudgeAll();
    },
    check: (life, world) => {
      expectEnd(life, world, { kinds: ['provisioned', 'destroyed'], instances: 0 });
      expect(life.journal.pausedReleases()).toEqual([]);
    },
  },
  {
    name: 'a release while the instance is being made',
    prepare: (world) => void (world.sshAnswers = false),
    play: async (life) => {
      life.receive(anOrder());
      await settle();
      life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
    },
    check: (life, world) => {
      expectEnd(life, world, { kinds: ['destroyed'], instances: 0 });
      expect(life.records()[0]!.data).toMatchObject({ never_existed: false });
    },
  },
  {
    name: 'a release of what never existed',
    play: async (life) => life.receive(anOrder({ kind: 'destroy', epoch: 2 })),
    check: (life, world) => {
      expectEnd(life, world, { kinds: ['destroyed'], instances: 0 });
      expect(life.records()[0]!.data).toMatchObject({ never_existed: true });
    },
  },
  {
    name: 'a release from a backend that does not know at first',
    prepare: ({ backend }) => {
      backend.inject({ on: 'list', what: 'incomplete' });
      backend.inject({ on: 'destroy', what: 'error' });
      backend.inject({ on: 'destroy', what: 'done_but_failed' });
      backend.inject({ on: 'inspect', what: 'error' });
    },
    play: async (life) => {
      life.receive(anOrder());
      await life.rest();
      life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
    },
    check: (life, world) => expectEnd(life, world, { kinds: ['provisioned', 'destroyed'], instances: 0 }),
  },
  {
    name: 'a release while the backend still carries out a create',
    prepare: ({ backend }) => {
      backend.inject({ on: 'create', what: 'late', delayMs: 1_500 });
      // The looks of the undo and of `find` come before it, the one that proves absence after it.
      for (const delayMs of [300, 300, 2_000]) backend.inject({ on: 'list', what: 'late', delayMs });
    },
    play: async (life, { clock }) => {
      life.receive(anOrder());
      await settle();
      life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
      await life.rest();
      // After a crash it can come even later than the report: then the next look at the backend shows it.
      await Promise.all([life.observe(CONTRACT_ID), clock.advance(5_000)]);
      await life.rest();
    },
    check: (life, world) => {
      // A crash moves the create to before the tombstone, or to after the report.
      const kinds = life.records().map(({ kind }) => kind);
      expectEnd(life, world, { kinds, instances: 0 });
      expect(kinds.at(-1)).toBe('destroyed');
    },
  },
  {
    name: 'a stop and a start',
    play: async (life) => {
      life.receive(anOrder());
      await life.rest();
      life.receive(anOrder({ kind: 'stop', epoch: 2 }));
      await life.rest();
      life.receive(anOrder({ kind: 'start', epoch: 3 }));
    },
    check: (life, world) => {
      expectEnd(life, world, { kinds: ['provisioned', 'stopped', 'started'], instances: 1 });
      expect([...world.backend.objects.values()][0]!.power).toBe('running');
    },
  },
  {
    name: 'a new password',
    play: async (life) => {
      life.receive(anOrder());
      await life.rest();
      life.receive(anOrder({ kind: 'reset_password', epoch: 2 }));
    },
    check: expectNewPassword,
  },
  {
    name: 'a new password where replies get lost',
    prepare: ({ backend }) => {
      backend.inject({ on: 'setPassword', what: 'reply_lost' });
      backend.inject({ on: 'setPassword', what: 'error' });
      backend.inject({ on: 'setPassword', what: 'done_but_failed' });
    },
    play: async (life) => {
      life.receive(anOrder());
      await life.rest();
      life.receive(anOrder({ kind: 'reset_password', epoch: 2 }));
    },
    check: expectNewPassword,
  },
  {
    name: 'another SSH key',
    prepare: ({ backend }) => backend.inject({ on: 'rotateSshKey', what: 'done_but_failed' }),
    play: async (life) => {
      life.receive(anOrder());
      await life.rest();
      life.receive(anOrder({ kind: 'rotate_ssh_key', epoch: 2 }));
    },
    check: (life, world) => {
      expectEnd(life, world, { kinds: ['provisioned', 'ssh_key_rotated'], instances: 1 });
      expect([...world.backend.objects.values()][0]!.sshPublicKey).toBe(NEXT_SSH_KEY);
    },
  },
];

/** One report, and in its box the very password that the instance has; nothing that makes it again is left. */
async function expectNewPassword(life: Life, world: AgentWorld): Promise<void> {
  expectEnd(life, world, { kinds: ['provisioned', 'password_reset'], instances: 1 });
  const [box] = life.records()[1]!.data['boxes'] as SealedBox[];
  const key = await boxKeyOf(RENTER_SEED);
  const password = await openBox(box!, key, CONTRACT_ID);
  expect([...world.backend.objects.values()][0]!.login).toEqual({ user: 'renter', password });
  for (const { sagaId } of life.journal.contract(CONTRACT_ID)!.sagas)
    expect(life.journal.sagaSecret(sagaId)).toBeNull();
}

describe('A crash at any moment', () => {
  for (const scenario of SCENARIOS) {
    it(
      `changes nothing about ${scenario.name}`,
      async ({ task }) => {
        const tried = await crashEverywhere(scenario);
        // What was tried is part of the result.
        tellLines(task, renderCrashes(scenario.name, tried));
        const { single, double } = tried;
        expect(single).toBeGreaterThan(8);
        expect(double).toBeGreaterThan(4);
      },
      TIMEOUT_MS,
    );
  }
});
