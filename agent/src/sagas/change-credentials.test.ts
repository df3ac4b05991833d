import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { boxKeyOf, openBox, type SealedBox } from '@dc/shared/crypto/sealed-box';
import { anOrder, CONTRACT_ID, NEXT_SSH_KEY, RENTER_SEED, SSH_KEY } from '../journal/testing/builders.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import { allSagas } from './all-sagas.ts';
import { makePassword } from './make-password.ts';
import type { SagaParts } from './saga-parts.ts';
import { AgentWorld, type Life, type WorldOptions } from './testing/agent-world.ts';
import { callNames, failingAt, twice } from './testing/saga-checks.ts';

const tempDir = tempDirs();
const worlds: AgentWorld[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close();
});

/** A world with a running instance, reported. */
async function rented(
  options: WorldOptions = {},
): Promise<{ world: AgentWorld; life: Life; folder: string }> {
  const folder = await tempDir();
  const world = new AgentWorld(folder, options);
  worlds.push(world);
  const life = world.start();
  life.receive(anOrder());
  await life.rest();
  return { world, life, folder };
}

const guestOf = (world: AgentWorld) => [...world.backend.objects.values()][0]!;
const lastRecord = (life: Life) => life.records().at(-1)!;
const reset = (epoch = 2) => anOrder({ kind: 'reset_password', epoch, orderId: `reset-${epoch}` });

async function openFirst(data: Record<string, unknown>): Promise<string> {
  const [box] = data['boxes'] as SealedBox[];
  return openBox(box!, await boxKeyOf(RENTER_SEED), CONTRACT_ID);
}

describe('A new password', () => {
  it('is set, tried, and reported in a box that the renter opens', async () => {
    const { world, life } = await rented();
    life.receive(reset());
    await life.rest();
    const record = lastRecord(life);
    expect(record).toMatchObject({
      kind: 'password_reset',
      epoch: 2,
      data: { user: 'renter', proof: 'login' },
    });
    expect(guestOf(world).login).toEqual({ user: 'renter', password: await openFirst(record.data) });
    expect(life.journal.contract(CONTRACT_ID)!.instance!.phase).toBe('running');
  });

  it('is another one each time', async () => {
    const { world, life } = await rented();
    const passwords = new Set<string>();
    for (const epoch of [2, 3, 4]) {
      life.receive(reset(epoch));
      await life.rest();
      passwords.add(guestOf(world).login!.password);
    }
    expect(passwords.size).toBe(3);
    expect(life.records().map(({ kind }) => kind)).toEqual([
      'provisioned',
      ...Array.from({ length: 3 }, () => 'password_reset'),
    ]);
  });

  it('stands nowhere in the journal’s files, in no log, and in no record', async () => {
    const { world, life, folder } = await rented({
      wrap: (saga) => (saga.name === 'reset-password' ? failingAt('prove', 'before')(saga) : saga),
    });
    life.receive(reset());
    await life.rest();
    const { password } = guestOf(world).login!;
    const files = ['journal-0.db', 'journal-0.db-wal'].map((name) => readFileSync(`${folder}/${name}`));
    for (const form of [
      password,
      Buffer.from(password).toString('base64'),
      Buffer.from(password).toString('hex'),
    ]) {
      for (const file of files) expect(file.includes(form)).toBe(false);
      expect(JSON.stringify([world.logged, life.records()])).not.toContain(form);
    }
  });

  it('cannot be made again once the saga has ended', async () => {
    const { life } = await rented();
    life.receive(reset());
    await life.rest();
    const { sagaId } = life.journal.contract(CONTRACT_ID)!.sagas.at(-1)!;
    expect(life.journal.sagaSecret(sagaId)).toBeNull();
  });

  it('is the same in every try, so that a late one changes nothing', async () => {
    const { world, life } = await rented();
    world.backend.inject({ on: 'setPassword', what: 'late', delayMs: 100_000 });
    life.receive(reset());
    await life.rest();
    await world.clock.advance(200_000);
    expect(guestOf(world).login!.password).toBe(await openFirst(lastRecord(life).data));
  });

  it('is reported as set but untried where the server takes no passwords', async () => {
    const { world, life } = await rented();
    world.passwordAnswer = 'not_offered';
    life.receive(reset());
    await life.rest();
    expect(lastRecord(life)).toMatchObject({ kind: 'password_reset', data: { proof: 'no_password_login' } });
  });

  it.each(['refused', 'anything_accepted'] as const)(
    'is reported as failed where a login with it comes to: %s',
    async (answer) => {
      const { world, life } = await rented();
      world.passwordAnswer = answer;
      life.receive(reset());
      await life.rest();
      expect(lastRecord(life)).toMatchObject({
        kind: 'failed',
        epoch: 2,
        data: { code: 'CREDENTIALS_UNPROVED', order_kind: 'reset_password' },
      });
      expect(world.backend.objects.size).toBe(1);
    },
  );

  it('bears every step running twice', async () => {
    const { world, life } = await rented({ wrap: twice });
    life.receive(reset());
    await life.rest();
    expect(guestOf(world).login!.password).toBe(await openFirst(lastRecord(life).data));
  });

  it('is not set in what does not carry the seal', async () => {
    const { world, life } = await rented();
    guestOf(world).seal = null;
    life.receive(reset());
    await life.rest();
    expect(guestOf(world).login).toBeUndefined();
    expect(lastRecord(life)).toMatchObject({ kind: 'failed', data: { code: 'PROVISIONER_FOREIGN' } });
  });

  it('is reported as failed where the instance is gone, and none is built', async () => {
    const { world, life } = await rented();
    world.backend.objects.clear();
    life.receive(reset());
    await life.rest();
    expect(lastRecord(life)).toMatchObject({ kind: 'failed', data: { code: 'INSTANCE_GONE' } });
    expect(world.backend.objects.size).toBe(0);
  });

  it('is given up for a tombstone, which destroys and reports', async () => {
    const { world, life } = await rented();
    world.backend.inject({ on: 'setPassword', what: 'reply_lost' });
    life.receive(reset());
    life.receive(anOrder({ kind: 'destroy', epoch: 3 }));
    await life.rest();
    expect(world.backend.objects.size).toBe(0);
    expect(life.records().map(({ kind }) => kind)).toEqual(['provisioned', 'destroyed']);
  });

  it('that was withdrawn by a stop is not made after the start', async () => {
    const { world, life } = await rented();
    world.backend.inject({ on: 'setPassword', what: 'error' });
    life.receive(reset());
    life.receive(anOrder({ kind: 'stop', epoch: 3 }));
    await life.rest();
    life.receive(anOrder({ kind: 'start', epoch: 4 }));
    await life.rest();
    expect(life.records().map(({ kind }) => kind)).toEqual(['provisioned', 'stopped', 'started']);
    expect(guestOf(world).login).toBeUndefined();
  });
});

describe('Another SSH key', () => {
  const rotate = anOrder({ kind: 'rotate_ssh_key', epoch: 2 });

  it('takes the place of the old one, and that is tried', async () => {
    const { world, life } = await rented();
    life.receive(rotate);
    await life.rest();
    expect(guestOf(world).sshPublicKey).toBe(NEXT_SSH_KEY);
    expect(lastRecord(life)).toMatchObject({ kind: 'ssh_key_rotated', epoch: 2 });
    expect(life.moments.filter((moment) => moment === 'after key login')).toHaveLength(2);
  });

  it('is reported as failed where the old one still opens', async () => {
    const { world, life } = await rented({
      wrap: (saga) => (saga.name === 'rotate-ssh-key' ? skipCall(saga) : saga),
    });
    expect(guestOf(world).spec['sshPublicKey']).toBe(SSH_KEY);
    life.receive(rotate);
    await life.rest();
    expect(lastRecord(life)).toMatchObject({
      kind: 'failed',
      data: { code: 'CREDENTIALS_UNPROVED', order_kind: 'rotate_ssh_key' },
    });
  });

  /** A backend that says that it has done it. */
  function skipCall(saga: Parameters<NonNullable<WorldOptions['wrap']>>[0]): typeof saga {
    const steps = saga.steps.map((step) =>
      step.name === 'rotate' && step.kind === 'run' ? { ...step, run: () => Promise.resolve(null) } : step,
    );
    return { ...saga, steps };
  }
});

describe('A failure for good', () => {
  const CHANGES = { 'reset-password': 'reset_password', 'rotate-ssh-key': 'rotate_ssh_key' } as const;
  const cases = Object.entries(CHANGES).flatMap(([saga, kind]) => {
    const definition = allSagas({} as SagaParts).find(({ name }) => name === saga)!;
    return callNames(definition).flatMap((step) =>
      (['before', 'after'] as const).map((moment) => ({ saga, kind, step, moment })),
    );
  });

  it.each(cases)('of $saga at $step, $moment its call, leaves the instance alone', async (one) => {
    const fail = failingAt(one.step, one.moment);
    const { world, life } = await rented({ wrap: (saga) => (saga.name === one.saga ? fail(saga) : saga) });
    life.receive(anOrder({ kind: one.kind, epoch: 2 }));
    await life.rest();
    expect(lastRecord(life)).toMatchObject({ kind: 'failed', epoch: 2, data: { order_kind: one.kind } });
    expect(guestOf(world).power).toBe('running');
    const { instance, sagas } = life.journal.contract(CONTRACT_ID)!;
    expect(instance!.phase).toBe('running');
    expect(life.journal.sagaSecret(sagas.at(-1)!.sagaId)).toBeNull();
    // The next wish is not in the way of the one that failed.
    life.receive(anOrder({ kind: 'stop', epoch: 3 }));
    await life.rest();
    expect(lastRecord(life).kind).toBe('stopped');
  });
});

describe('The letters of a password', () => {
  const key = new Uint8Array(32).fill(1);

  it('are 24 in four groups, none of which looks like another', () => {
    for (let count = 0; count < 200; count += 1)
      expect(makePassword(key, new Uint8Array(32).fill(count))).toMatch(
        /^([2-9A-HJ-NP-Za-km-z]{6}-){3}[2-9A-HJ-NP-Za-km-z]{6}$/,
      );
  });

  it('need both the agent’s key and the saga’s secret', () => {
    const secret = new Uint8Array(32).fill(2);
    expect(makePassword(key, secret)).toBe(makePassword(key, secret));
    expect(makePassword(key, new Uint8Array(32).fill(3))).not.toBe(makePassword(key, secret));
    expect(makePassword(new Uint8Array(32), secret)).not.toBe(makePassword(key, secret));
  });
});
