import { makeSeal } from '@dc/shared/seal';
import { settle } from '@dc/shared/testing/manual-clock';
import { describe, expect, it, onTestFinished } from 'vitest';
import { journalFile } from '../config/paths.ts';
import { Installation } from '../testing/installation.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import type { JournalReader } from './journal.ts';
import { openJournalReader } from './open-journal.ts';

const makeDir = tempDirs();
const DAY_MS = 86_400_000;

/** An agent that has built and destroyed one contract, and has been off for so many days since. */
async function worldAfter(days: number): Promise<{ world: Installation; contractId: string }> {
  const world = new Installation(await makeDir());
  onTestFinished(() => world.close());
  const agent = await world.start();
  const contractId = world.newContract();
  world.coordinator.addWork('provision', contractId);
  await settle();
  world.coordinator.addWork('destroy', contractId);
  await settle();
  expect(world.backend.objects.size).toBe(0);
  await agent.stop();
  await world.clock.advance(days * DAY_MS);
  return { world, contractId };
}

/** What the journal says, read by somebody else. */
function read<T>(world: Installation, look: (journal: JournalReader) => T): T {
  const journal = openJournalReader(journalFile(world.config.stateDir));
  try {
    return look(journal);
  } finally {
    journal.close();
  }
}

const eventsOf = (world: Installation, contractId: string): number =>
  read(world, (journal) => journal.contract(contractId)?.sagas.flatMap(({ events }) => events).length ?? 0);

describe('the history of a contract that ended', () => {
  it('is kept for as long as the configuration says, and then let go of', async () => {
    const { world, contractId } = await worldAfter(89);
    await (await world.start()).stop();
    expect(eventsOf(world, contractId)).toBeGreaterThan(5);
    await world.clock.advance(2 * DAY_MS);
    await (await world.start()).stop();
    expect(eventsOf(world, contractId)).toBe(0);
    const kept = read(world, (journal) => ({
      orders: journal
        .contract(contractId)
        ?.orders.map(({ kind, payload }) => [kind, payload.tombstone?.reason]),
      phase: journal.contract(contractId)?.instance?.phase,
      ends: journal.contract(contractId)?.sagas.map(({ name, finished }) => [name, finished?.outcome]),
      newestEpoch: journal.newestEpoch(contractId),
      newestOrder: journal.newestOrder() !== null,
      records: journal.lastSeq(world.keys.agentKey.publicKey),
    }));
    expect(kept).toMatchObject({
      orders: [['destroy', 'expired']],
      phase: 'destroyed',
      ends: [
        ['provision-instance', 'reported'],
        ['release-instance', 'reported'],
      ],
      newestEpoch: 2,
      newestOrder: true,
    });
    expect(kept.records).toBeGreaterThanOrEqual(2);
  });

  it('is not needed to refuse an order that comes after the tombstone', async () => {
    const { world, contractId } = await worldAfter(91);
    await world.start();
    expect(eventsOf(world, contractId)).toBe(0);
    const late = world.coordinator.addWork('provision', contractId);
    await settle();
    expect(late.returned).toMatchObject({ code: 'refused' });
    expect(world.backend.objects.size).toBe(0);
  });

  it('is not needed to destroy by the same tombstone what turns up at the backend later', async () => {
    const { world, contractId } = await worldAfter(91);
    const { environment } = world.config;
    const seal = makeSeal(world.keys.sealSecret.reveal(), { contractId, environment });
    const request = { contractId, seal, token: 'late', spec: SPEC };
    await world.openProvisioner().create(request, new AbortController().signal);
    await world.start();
    await world.clock.advance(120_000);
    expect(world.backend.objects.size).toBe(0);
  });

  it('is not needed to answer an order that is leased again because its report was lost', async () => {
    const { world, contractId } = await worldAfter(91);
    const before = world.coordinator.records.length;
    await world.start();
    world.coordinator.addWork('destroy', contractId);
    await settle();
    expect(world.coordinator.records.slice(before).map(({ payload }) => payload.kind)).toEqual(['destroyed']);
  });
});

const SPEC = {
  ...{ cpu: 1, memoryMb: 512, diskGb: 5, operatingSystem: 'debian-12', hostname: 'late' },
  sshPublicKey: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGm5ZzGzjnP5XrkWx0b8ZQWl0r6ZmBW0x4pY8Vf8XfWk',
};
