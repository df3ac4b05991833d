/** Orphans and foreign instances beside a running agent, on virtual time. */
import { makeSeal } from '@dc/shared/seal';
import { settle } from '@dc/shared/testing/manual-clock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { journalFile } from '../config/paths.ts';
import type { UnaccountedInstance } from '../journal/journal.ts';
import { openJournalReader } from '../journal/open-journal.ts';
import { Installation } from '../testing/installation.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import type { Agent } from '../wiring.ts';

const HOUR_MS = 3_600_000;
const makeDir = tempDirs();
let world: Installation;
let agent: Agent;

beforeEach(async () => {
  world = new Installation(await makeDir());
});
afterEach(async () => {
  await world.close();
  expect(world.clock.timerCount).toBe(0);
});

/** Puts an instance at the backend that this agent's journal knows nothing of; answers its id. */
async function leave(environment = world.config.environment): Promise<string> {
  const contractId = world.newContract();
  const seal = makeSeal(world.keys.sealSecret.reveal(), { contractId, environment });
  const spec = {
    cpu: 1,
    memoryMb: 512,
    diskGb: 5,
    operatingSystem: 'debian-13',
    sshPublicKey: 'ssh-ed25519 AAAA',
    hostname: 'left',
  };
  const request = { contractId, seal, token: 'left', spec };
  const { handle } = await world.openProvisioner().create(request, new AbortController().signal);
  return handle.id;
}

function unaccounted(): UnaccountedInstance[] {
  const reader = openJournalReader(journalFile(world.config.stateDir));
  try {
    return reader.unaccounted();
  } finally {
    reader.close();
  }
}

const contractOf = (id: string): string => id.split('.')[0] ?? '';

describe('An orphan', () => {
  it('is watched, reported, and left alone for ever; also through restarts', async () => {
    const id = await leave();
    agent = await world.start();
    await world.clock.advance(HOUR_MS / 2);
    await agent.stop();
    await world.clock.advance(HOUR_MS);
    agent = await world.start();
    expect(unaccounted()).toMatchObject([{ id, kind: 'orphan', contractId: contractOf(id), goneAt: null }]);
    const [seen] = unaccounted();
    expect(seen!.lastSeenAt - seen!.firstSeenAt).toBeGreaterThan(HOUR_MS);
    await world.clock.advance(24 * HOUR_MS);
    expect(world.backend.objects.has(id)).toBe(true);
    expect(world.coordinator.beats.at(-1)?.capabilities).toMatchObject({
      orphans_total: 1,
      orphans: [{ id, contract_id: contractOf(id) }],
    });
  });

  it('is destroyed by the operator once it was watched for the grace time, and that is kept', async () => {
    const id = await leave();
    agent = await world.start();
    await world.clock.advance(HOUR_MS - 60_000);
    await expect(agent.destroyOrphan(id)).rejects.toMatchObject({ code: 'ORPHAN_TOO_YOUNG' });
    await world.clock.advance(180_000);
    await agent.destroyOrphan(id);
    expect(world.backend.objects.size).toBe(0);
    await world.clock.advance(HOUR_MS);
    expect(unaccounted()).toMatchObject([{ id, destroyAskedAt: expect.any(Number) as number }]);
    expect(unaccounted()[0]!.goneAt).not.toBeNull();
    expect(world.coordinator.beats.at(-1)?.capabilities).not.toHaveProperty('orphans');
    await expect(agent.destroyOrphan(id)).rejects.toMatchObject({ code: 'ORPHAN_NOT_FOUND' });
    expect(world.coordinator.records).toEqual([]);
  });

  it('is not destroyed while the backend cannot list everything, nor where its seal is gone', async () => {
    const id = await leave();
    agent = await world.start();
    await world.clock.advance(2 * HOUR_MS);
    world.backend.inject({ on: 'list', what: 'incomplete' });
    await expect(agent.destroyOrphan(id)).rejects.toMatchObject({ code: 'PROVISIONER_UNAVAILABLE' });
    world.backend.inject({ on: 'list', what: 'error' });
    await expect(agent.destroyOrphan(id)).rejects.toMatchObject({ code: 'PROVISIONER_UNAVAILABLE' });
    world.backend.objects.get(id)!.seal = null;
    await expect(agent.destroyOrphan(id)).rejects.toMatchObject({ code: 'PROVISIONER_FOREIGN' });
    expect(world.backend.objects.has(id)).toBe(true);
    expect(unaccounted()).toMatchObject([{ destroyAskedAt: null }]);
  });

  it('is none any more when an order for its contract comes', async () => {
    const id = await leave();
    agent = await world.start();
    await world.clock.advance(2 * HOUR_MS);
    world.coordinator.addWork('provision', contractOf(id));
    await settle();
    await expect(agent.destroyOrphan(id)).rejects.toMatchObject({ code: 'ORPHAN_HAS_ORDER' });
    await world.clock.advance(120_000);
    expect(unaccounted()).toEqual([]);
    expect(world.backend.objects.has(id)).toBe(true);
  });

  it('whose destruction failed half-way can be tried again at once', async () => {
    const id = await leave();
    agent = await world.start();
    await world.clock.advance(2 * HOUR_MS);
    world.backend.inject({ on: 'destroy', what: 'error' });
    await expect(agent.destroyOrphan(id)).rejects.toMatchObject({ code: 'PROVISIONER_UNAVAILABLE' });
    await world.clock.advance(120_000);
    expect(unaccounted()).toMatchObject([{ goneAt: null }]);
    await agent.destroyOrphan(id);
    expect(world.backend.objects.size).toBe(0);
  });
});

describe('An instance of another environment', () => {
  it('is shown as foreign and never touched, whatever the operator or an order says', async () => {
    const id = await leave('prod');
    const before = JSON.stringify(world.backend.objects.get(id));
    agent = await world.start();
    await world.clock.advance(2 * HOUR_MS);
    expect(unaccounted()).toMatchObject([
      { id, kind: 'foreign', why: 'it was made in the environment prod' },
    ]);
    expect(world.coordinator.beats.at(-1)?.capabilities).not.toHaveProperty('orphans');
    await expect(agent.destroyOrphan(id)).rejects.toMatchObject({ code: 'PROVISIONER_FOREIGN' });
    world.coordinator.addWork('destroy', contractOf(id));
    await settle();
    await world.clock.advance(HOUR_MS);
    expect(JSON.stringify(world.backend.objects.get(id))).toBe(before);
    expect(world.coordinator.records.at(-1)?.payload).toMatchObject({
      kind: 'destroyed',
      data: { never_existed: true },
    });
  });
});

describe('Two agents of one provider on one backend', () => {
  it('see no orphans in each other’s instances, and destroy none', async () => {
    const id = await leave();
    world.coordinator.elsewhere.add(contractOf(id));
    agent = await world.start();
    await world.clock.advance(150_000);
    expect(unaccounted()).toMatchObject([
      { id, kind: 'foreign', why: 'another agent of this provider answers for it' },
    ]);
    expect(world.coordinator.beats.at(-1)?.capabilities?.['orphans_total']).toBeUndefined();
    await expect(agent.destroyOrphan(id)).rejects.toMatchObject({ code: 'PROVISIONER_FOREIGN' });
    expect(world.backend.objects.size).toBe(1);
  });

  it('see one, with its time counted anew, once the other answers for it no more', async () => {
    const id = await leave();
    world.coordinator.elsewhere.add(contractOf(id));
    agent = await world.start();
    await world.clock.advance(150_000);
    world.coordinator.elsewhere.clear();
    await world.clock.advance(150_000);
    expect(unaccounted()).toMatchObject([{ id, kind: 'orphan' }]);
    await expect(agent.destroyOrphan(id)).rejects.toMatchObject({ code: 'ORPHAN_TOO_YOUNG' });
  });
});
