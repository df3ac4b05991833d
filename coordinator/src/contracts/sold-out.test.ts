import { createHash } from 'node:crypto';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import { runProgram } from '../database/testing/run-program.ts';
import { verifyLedger } from '../payments/ledger-verify.ts';
import { expectStatus } from '../testing/people.ts';
import {
  cancel,
  destroyInstance,
  look,
  moneyOf,
  openMarket,
  placesTaken,
  rent,
  rentAndLease,
  sshKeyOf,
  tryToRent,
  type Market,
} from '../testing/rental.ts';
import { startTestCoordinator } from '../testing/test-coordinator.ts';

/** The contracts that there are, and that each was paid. */
async function countContracts({ coordinator }: Market): Promise<number> {
  const contracts = await coordinator.context.db.read.selectFrom('contracts').select('id').execute();
  for (const { id } of contracts) expect((await moneyOf({ coordinator }, id)).paid).toBeGreaterThan(0n);
  return contracts.length;
}

describe('an offering of a few places', () => {
  it('is rented exactly so often by a crowd that comes at once', async () => {
    const market = await openMarket({ offering: { places: 5 } });
    const answers = await Promise.all(Array.from({ length: 25 }, () => tryToRent(market)));
    const refused = answers.filter(({ status }) => status !== 201);
    expect(refused).toHaveLength(20);
    for (const answer of refused)
      expect(answer).toMatchObject({
        status: 409,
        body: { code: 'OFFERING_SOLD_OUT', remedy: 'Choose another offering, or try again later.' },
      });
    expect(await countContracts(market)).toBe(5);
    expect(await placesTaken(market)).toBe(5);
    expect((await verifyLedger(market.coordinator.context.db)).firstProblem).toBeNull();
  });

  it('is rented exactly so often through three coordinators on one database', async () => {
    const clock = new ManualClock(Date.now());
    const coordinator = await startTestCoordinator({ clock });
    const market = await openMarket({ coordinator, offering: { places: 20 } });
    const seed = createHash('sha256').update('test key renter').digest('hex');
    const file = path.join(import.meta.dirname, 'testing/rent-program.ts');
    const parameters = [coordinator.folder, market.offering.id, '15', seed, sshKeyOf('renter')];
    const programs = Array.from({ length: 3 }, () => runProgram(file, parameters));
    const outputs = await Promise.all(programs.map(({ finished }) => finished));
    const counts = outputs.map((output) => JSON.parse(output) as Record<string, number>);
    const sum = (name: string) => counts.reduce((total, count) => total + (count[name] ?? 0), 0);
    expect({ rented: sum('rented'), soldOut: sum('OFFERING_SOLD_OUT') }).toEqual({ rented: 20, soldOut: 25 });
    expect(await countContracts(market)).toBe(20);
    expect(await placesTaken(market)).toBe(20);
  }, 60_000);

  it('has its place back when nothing was ever made, and else only when the instance is gone', async () => {
    const market = await openMarket({ offering: { places: 1 } });
    const first = await rent(market);
    expect((await tryToRent(market)).status).toBe(409);
    await cancel(market, first.id);

    const second = await rentAndLease(market);
    await cancel(market, second.id);
    expect(await tryToRent(market)).toMatchObject({ body: { code: 'OFFERING_SOLD_OUT' } });
    await destroyInstance(market, second.id);
    expect((await tryToRent(market)).status).toBe(201);
  });

  it('that was given back is free once, however often its agent says so', async () => {
    const market = await openMarket({ offering: { places: 2 } });
    const { id } = await rentAndLease(market);
    await cancel(market, id);
    await destroyInstance(market, id);
    await rent(market);
    expect(await market.agent.report('destroyed', id, { epoch: 2 })).toEqual({
      seq: 2,
      outcome: 'already_applied',
    });
    expect(await placesTaken(market)).toBe(1);
    expect(await look(market, id)).toMatchObject({ release: 'released' });
  });
});

describe('an offering that nobody serves', () => {
  it('is not rented when no agent of its pool was heard of lately, and nothing is charged', async () => {
    const market = await openMarket();
    market.coordinator.clock.jump(50_001);
    expect(await tryToRent(market)).toMatchObject({
      status: 409,
      body: { code: 'OFFERING_UNSERVED', remedy: expect.stringContaining('not charged') as string },
    });
    expect(await countContracts(market)).toBe(0);
    expect(await placesTaken(market)).toBe(0);
    await market.agent.beat();
    expect((await tryToRent(market)).status).toBe(201);
  });

  it('is not rented when its only agent was revoked', async () => {
    const market = await openMarket();
    const { client } = market.coordinator;
    const { key } = market.provider;
    const agent = `/providers/${key.publicKey}/agents/${market.agent.key.publicKey}`;
    expect((await client.delete(agent, { key })).status).toBe(204);
    expect(await tryToRent(market)).toMatchObject({ body: { code: 'OFFERING_UNSERVED' } });
  });

  it('cannot be found when it was retired, though those who have it keep it', async () => {
    const market = await openMarket();
    const { id } = await rent(market);
    const { client } = market.coordinator;
    const { key } = market.provider;
    expectStatus(
      await client.delete(`/providers/${key.publicKey}/offerings/${market.offering.id}`, { key }),
      204,
    );
    expect(await tryToRent(market)).toMatchObject({ status: 404, body: { code: 'OFFERING_NOT_FOUND' } });
    expect(await look(market, id)).toMatchObject({ state: 'accepted', offering_title: 'Small server' });
  });
});
