import { rm } from 'node:fs/promises';
import { AppError } from '@dc/shared/errors';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { afterEach, describe, expect, it } from 'vitest';
import { openJournalReader } from './journal/open-journal.ts';
import { settle } from '@dc/shared/testing/manual-clock';
import { Installation } from './testing/installation.ts';
import { tempDirs } from './testing/temp-dir.ts';
import { journalFile } from './config/paths.ts';

const makeDir = tempDirs();
const installations: Installation[] = [];

afterEach(async () => {
  for (const installation of installations.splice(0)) {
    await installation.close();
    expect(installation.clock.timerCount).toBe(0);
  }
});

async function install(
  ...limits: ConstructorParameters<typeof Installation> extends [string, ...infer L] ? L : never
) {
  const installation = new Installation(await makeDir(), ...limits);
  installations.push(installation);
  return installation;
}

/** The kinds of the records that the coordinator holds. */
const kinds = ({ coordinator }: Installation): string[] =>
  coordinator.records.map(({ payload }) => payload.kind);

describe('an agent', () => {
  it('builds what it is nudged about at once, keeps looking at it, and destroys it by tombstone', async () => {
    const world = await install();
    await world.start();
    const contract = world.newContract();
    world.coordinator.addWork('provision', contract);
    await settle();
    expect(kinds(world)).toEqual(['provisioned']);
    expect(world.backend.objects.size).toBe(1);

    await world.clock.advance(70_000);
    expect(kinds(world)).toEqual(['provisioned', 'health']);
    expect(world.coordinator.records[1]?.payload).toMatchObject({
      contract_id: contract,
      epoch: 1,
      data: { status: 'healthy', latency_ms: 3 },
    });
    expect(world.coordinator.beats.at(-1)).toMatchObject({ running_contracts: [contract], healthy: true });

    world.coordinator.addWork('destroy', contract);
    await settle();
    expect(kinds(world)).toEqual(['provisioned', 'health', 'destroyed']);
    expect(world.backend.objects.size).toBe(0);
    await world.clock.advance(60_000);
    expect(world.coordinator.beats.at(-1)?.running_contracts).toEqual([]);
  });

  it('does the same later with the stream cut', async () => {
    const world = await install();
    world.coordinator.before = (call) => {
      if (call === 'stream') throw new AppError('COORDINATOR_UNREACHABLE');
    };
    const agent = await world.start();
    expect(agent.status().isStreamUp).toBe(false);
    world.coordinator.addWork('provision', world.newContract());
    await world.clock.advance(6_000);
    expect(kinds(world)).toEqual(['provisioned']);
  });

  it('listens again after a cut, and looks for work that nobody nudged it about', async () => {
    const world = await install();
    const agent = await world.start();
    world.coordinator.cutStreams(new AppError('COORDINATOR_UNREACHABLE'));
    await settle();
    expect(agent.status().isStreamUp).toBe(false);
    world.coordinator.addWork('provision', world.newContract());
    await world.clock.advance(1_100);
    expect(agent.status().isStreamUp).toBe(true);
    expect(kinds(world)).toEqual(['provisioned']);
  });

  it('builds twenty at once, a few at a time, each of them once', async () => {
    const world = await install({ parallel: 4 });
    let atOnce = 0;
    let most = 0;
    const provisioner = world.openProvisioner();
    const create = provisioner.create.bind(provisioner);
    provisioner.create = async (request, signal) => {
      most = Math.max(most, (atOnce += 1));
      await settle();
      return create(request, signal).finally(() => (atOnce -= 1));
    };
    await world.start({ provisioner });
    for (let count = 0; count < 20; count += 1) world.coordinator.addWork('provision', world.newContract());
    for (let turn = 0; turn < 100 && world.coordinator.records.length < 20; turn += 1)
      await world.clock.advance(50);
    expect(kinds(world)).toEqual(Array(20).fill('provisioned'));
    expect(world.backend.objects.size).toBe(20);
    expect(most).toBe(4);
  });

  it('builds nothing twice when it is killed and started again in the middle', async () => {
    const world = await install();
    const provisioner = world.openProvisioner();
    const create = provisioner.create.bind(provisioner);
    provisioner.create = async (request, signal) => {
      await create(request, signal);
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new AppError('SAGA_ABORTED')), { once: true });
      });
    };
    const first = await world.start({ provisioner });
    world.coordinator.addWork('provision', world.newContract());
    await settle();
    expect(world.backend.objects.size).toBe(1);
    await first.stop();
    expect(kinds(world)).toEqual([]);

    await world.start();
    await settle();
    expect(kinds(world)).toEqual(['provisioned']);
    expect(world.backend.objects.size).toBe(1);
  });

  it('takes up work again under a new epoch after its lease ran out while it was dead', async () => {
    const world = await install();
    world.backend.inject({ on: 'create', what: 'reply_lost' });
    const first = await world.start();
    world.coordinator.addWork('provision', world.newContract());
    await settle();
    await first.stop();
    await world.clock.advance(3_600_000);

    await world.start();
    await world.clock.advance(1_000);
    expect(world.coordinator.records.map(({ payload }) => [payload.kind, payload.epoch])).toEqual([
      ['provisioned', world.coordinator.epochOf(world.coordinator.work[0]!.contractId)],
    ]);
    expect(world.backend.objects.size).toBe(1);
  });

  it('destroys by the tombstone what its backend made only after it was reported gone', async () => {
    const world = await install();
    const provisioner = world.openProvisioner();
    const create = provisioner.create.bind(provisioner);
    let carryOut = (): Promise<unknown> => Promise.reject(new Error('nothing was asked for'));
    provisioner.create = (request, signal) => {
      carryOut = () => create(request, new AbortController().signal);
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new AppError('SAGA_ABORTED')), { once: true });
      });
    };
    await world.start({ provisioner });
    const contract = world.newContract();
    world.coordinator.addWork('provision', contract);
    await settle();
    world.coordinator.addWork('destroy', contract);
    await settle();
    expect(kinds(world)).toEqual(['destroyed']);
    await carryOut();
    expect(world.backend.objects.size).toBe(1);
    await world.clock.advance(120_000);
    expect(world.backend.objects.size).toBe(0);
    expect(kinds(world)).toEqual(['destroyed', 'destroyed']);
  });

  it('refuses to start while another process holds the journal, and changes nothing', async () => {
    const world = await install();
    await world.start();
    await expect(world.make().start()).rejects.toMatchObject({ code: 'DATABASE_LOCKED' });
  });
});

describe('what an agent does not obey', () => {
  const evil = SigningKey.fromSeed(new Uint8Array(32).fill(99));

  it.each([
    ['for another agent', { aud: evil.publicKey }],
    ['of another environment', { environment: 'prod' }],
    ['that has expired', { exp: 1 }],
    ['that is not the one that the lease names', { epoch: 99 }],
    ['by another issuer', { iss: evil.publicKey }],
  ])('an order %s', async (_what, change) => {
    const world = await install();
    const agent = await world.start();
    const item = world.coordinator.addWork('provision', world.newContract(), change);
    await settle();
    expect(item.returned).toMatchObject({ code: 'refused', nothing_made: true });
    expect(agent.status().refusedOrders).toBe(1);
    expect(world.backend.objects.size).toBe(0);
    await world.close();
    const reader = openJournalReader(journalFile(world.config.stateDir));
    expect(reader.contractIds('all')).toEqual([]);
    reader.close();
  });

  it('a destroy order without a tombstone for this contract', async () => {
    const world = await install();
    await world.start();
    const contract = world.newContract();
    world.coordinator.addWork('provision', contract);
    await settle();
    const tombstone = { contract_id: world.newContract(), reason: 'expired', at: '2026-11-20T12:00:00.000Z' };
    const item = world.coordinator.addWork('destroy', contract, { tombstone });
    await settle();
    expect(item.returned).toMatchObject({ code: 'refused', nothing_made: false });
    expect(world.backend.objects.size).toBe(1);
  });

  it('an order that is fine beside one that is not', async () => {
    const world = await install();
    const bad = world.coordinator.addWork('provision', world.newContract(), { environment: 'prod' });
    world.coordinator.addWork('provision', world.newContract());
    await world.start();
    expect(kinds(world)).toEqual(['provisioned']);
    expect(bad.returned).not.toBeNull();
  });
});

describe('what an agent hands back', () => {
  it('is new work while its backend does not answer', async () => {
    const world = await install();
    for (const on of ['fingerprint', 'list'] as const) world.backend.inject({ on, what: 'error' });
    const item = world.coordinator.addWork('provision', world.newContract());
    await world.start();
    expect(item.returned).toMatchObject({ code: 'backend_unavailable', nothing_made: true });
    expect(world.coordinator.beats[0]).toMatchObject({ healthy: false });
    expect(world.backend.objects.size).toBe(0);
  });

  it('is what it cannot do at all', async () => {
    const world = await install();
    await world.start();
    const item = world.coordinator.addWork('stop', world.newContract());
    await settle();
    expect(item.returned).toMatchObject({ code: 'refused' });
  });

  it('is told until the coordinator has heard it', async () => {
    const world = await install();
    await world.start();
    world.coordinator.before = (call) => {
      if (call === 'return') throw new AppError('COORDINATOR_UNREACHABLE');
    };
    const item = world.coordinator.addWork('stop', world.newContract());
    await world.clock.advance(10_000);
    expect(item.returned).toBeNull();
    world.coordinator.before = () => undefined;
    await world.clock.advance(20_000);
    expect(item.returned).toMatchObject({ code: 'refused' });
  });
});

describe('a drain', () => {
  it('takes nothing new, lets work get on, delivers what is left, and keeps the instances', async () => {
    const world = await install();
    const provisioner = world.openProvisioner();
    const create = provisioner.create.bind(provisioner);
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    provisioner.create = async (request, signal) => {
      await gate;
      return create(request, signal);
    };
    const agent = await world.start({ provisioner });
    world.coordinator.addWork('provision', world.newContract());
    await settle();
    const drained = agent.drain();
    const late = world.coordinator.addWork('provision', world.newContract());
    await world.clock.advance(5_000);
    expect(agent.status().phase).toBe('draining');
    release();
    await world.clock.advance(1_000);
    await drained;
    expect(kinds(world)).toEqual(['provisioned']);
    expect(late.state).toBe('open');
    expect(world.backend.objects.size).toBe(1);
  });

  it('parks what does not come to an end, and the next start goes on with it', async () => {
    const world = await install({ drainMs: 10_000 });
    world.backend.inject({ on: 'create', what: 'reply_lost' });
    const agent = await world.start();
    world.coordinator.addWork('provision', world.newContract());
    await settle();
    const drained = agent.drain();
    await world.clock.advance(11_000);
    await drained;
    expect(agent.status().phase).toBe('stopped');
    expect(kinds(world)).toEqual([]);
    await world.start();
    await settle();
    expect(kinds(world)).toEqual(['provisioned']);
  });

  it('does not wait for a coordinator that does not answer', async () => {
    const world = await install();
    const agent = await world.start();
    world.coordinator.before = (call) => {
      if (call === 'records') throw new AppError('COORDINATOR_UNREACHABLE');
    };
    world.coordinator.addWork('provision', world.newContract());
    await settle();
    const drained = agent.drain();
    await world.clock.advance(6_000);
    await drained;
    expect(world.messages()).toContain('outbox.left');
    world.coordinator.before = () => undefined;
    await world.start();
    expect(kinds(world)[0]).toBe('provisioned');
  });
});

describe('an agent ends itself', () => {
  it.each(['KEY_REVOKED', 'RECORD_FORK'] as const)('with %s, and says so in the journal', async (code) => {
    const world = await install();
    const agent = await world.start();
    world.coordinator.before = (call) => {
      if (call === 'records') throw new AppError(code);
    };
    world.coordinator.addWork('provision', world.newContract());
    await settle();
    expect(await agent.failure).toMatchObject({ code });
    await agent.stop();
    const reader = openJournalReader(journalFile(world.config.stateDir));
    expect(JSON.parse(reader.fact('stopped_because') ?? '')).toMatchObject({ code });
    reader.close();
    expect(world.backend.objects.size).toBe(1);
  });

  it('when the coordinator holds records that its journal does not know', async () => {
    const world = await install();
    const first = await world.start();
    world.coordinator.addWork('provision', world.newContract());
    await settle();
    await first.stop();
    await rm(world.config.stateDir, { recursive: true });
    const agent = await world.start();
    world.coordinator.addWork('provision', world.newContract());
    expect(await agent.failure).toMatchObject({ code: 'RECORD_FORK' });
  });

  it('never because the coordinator is away, for however long', async () => {
    const world = await install();
    const agent = await world.start();
    world.coordinator.addWork('provision', world.newContract());
    await settle();
    world.coordinator.cutStreams(new AppError('COORDINATOR_UNREACHABLE'));
    world.coordinator.before = () => {
      throw new AppError('KEY_UNKNOWN');
    };
    await world.clock.advance(2 * 3_600_000);
    expect(agent.status().phase).toBe('running');
    expect(world.backend.objects.size).toBe(1);
    world.coordinator.before = () => undefined;
    await world.clock.advance(60_000);
    expect(world.coordinator.records.length).toBeGreaterThan(20);
    expect(world.coordinator.records.length).toBeLessThan(40);
  }, 30_000);
});
