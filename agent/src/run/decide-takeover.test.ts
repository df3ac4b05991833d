/** Who may answer for what a revoked agent has made. */
import { makeSeal } from '@dc/shared/seal';
import { settle } from '@dc/shared/testing/manual-clock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Installation } from '../testing/installation.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import { decideTakeover } from './decide-takeover.ts';

const predecessor = { agent: 'a'.repeat(64), backend_id: 'cluster-1' };
const elsewhere = { backendId: 'cluster-2', isSeen: false };

describe('An order to destroy what another agent made', () => {
  it('is taken where the instance is seen by its seal, whatever the backend is called', () => {
    expect(decideTakeover({ kind: 'destroy', predecessor }, null, { ...elsewhere, isSeen: true })).toBeNull();
  });

  it('is taken on the backend that it was made on: there a list proves absence', () => {
    expect(
      decideTakeover({ kind: 'destroy', predecessor }, null, { ...elsewhere, backendId: 'cluster-1' }),
    ).toBeNull();
  });

  it.each([
    ['on another backend', 'cluster-1', 'cluster-2'],
    ['where the backend has no name', 'cluster-1', null],
    ['where nobody knows which backend it was', null, 'cluster-1'],
    ['where neither is known', null, null],
  ])('goes back %s: finding nothing there proves nothing', (_where, backend_id, backendId) => {
    const order = { kind: 'destroy' as const, predecessor: { ...predecessor, backend_id } };
    expect(decideTakeover(order, null, { backendId, isSeen: false })).toMatchObject({ code: 'unsupported' });
  });

  it('of one’s own is no takeover', () => {
    expect(decideTakeover({ kind: 'destroy' }, null, elsewhere)).toBeNull();
    expect(decideTakeover({ kind: 'stop', predecessor }, null, elsewhere)).toBeNull();
  });
});

describe('An agent that takes over', () => {
  const makeDir = tempDirs();
  let world: Installation;
  beforeEach(async () => {
    world = new Installation(await makeDir());
  });
  afterEach(async () => {
    await world.close();
  });

  /** Something that another agent of the provider made for the contract. */
  async function leave(contractId: string): Promise<void> {
    const { environment } = world.config;
    const seal = makeSeal(world.keys.sealSecret.reveal(), { contractId, environment });
    const spec = {
      cpu: 1,
      memoryMb: 512,
      diskGb: 5,
      operatingSystem: 'debian-13',
      sshPublicKey: 'k',
      hostname: 'h',
    };
    const request = { contractId, seal, token: 'left', spec };
    await world.openProvisioner().create(request, new AbortController().signal);
  }

  const ordered = async (contractId: string, backend_id: string | null) => {
    const work = world.coordinator.addWork('destroy', contractId, {
      predecessor: { ...predecessor, backend_id },
    });
    await settle();
    await world.clock.advance(120_000);
    return work;
  };

  it('destroys by the seal what it never made, and says on which backend', async () => {
    const contract = world.newContract();
    await leave(contract);
    await world.start();
    await ordered(contract, null);
    expect(world.backend.objects.size).toBe(0);
    expect(world.coordinator.records.at(-1)?.payload).toMatchObject({
      kind: 'destroyed',
      data: { handle_ids: [expect.any(String) as string], backend_id: world.backend.id },
    });
  });

  it('reports nothing of what it does not see on a backend that is not that one, and everything on that one', async () => {
    await world.start();
    const elsewhere = await ordered(world.newContract(), 'another');
    expect(elsewhere.returned).toMatchObject({ code: 'unsupported', nothing_made: false });
    expect(world.coordinator.records).toEqual([]);
    await ordered(world.newContract(), world.backend.id);
    expect(world.coordinator.records.at(-1)?.payload).toMatchObject({
      kind: 'destroyed',
      data: { handle_ids: [] },
    });
  });
});
