/** A coordinator that is dark for a day: nothing is lost, nothing is touched, and everything is told in its order. */
import BetterSqlite3 from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeFolder } from './make-folder.ts';
import { Stage } from './stage.ts';
import { World } from './world.ts';

const HOUR_MS = 3_600_000;
const TIMEOUT_MS = 120_000;

let stage: Stage;
let removeFolder: () => void;

beforeEach(async () => {
  const { folder, remove } = makeFolder();
  removeFolder = remove;
  const world = new World(1, folder, null);
  world.isFaulty = false;
  stage = new Stage(world);
  await stage.set({ agents: [1] });
});
afterEach(async () => {
  await stage.close();
  removeFolder();
});

/** Rents and pays for `hours`; answers the contract's id when `until` holds. */
async function rent(hours: number): Promise<string> {
  const [renter] = stage.renters;
  const contract = await whileTimePasses(renter!.take(hours));
  return contract!.id;
}

/** Lets time pass until the promise is settled. */
async function whileTimePasses<T>(promise: Promise<T>): Promise<T> {
  let isDone = false;
  const done = promise.finally(() => (isDone = true));
  while (!isDone) await stage.advance(100);
  return done;
}

async function untilStateIs(id: string, state: string): Promise<void> {
  for (let tries = 0; stage.invariants.stateOf(id) !== state && tries < 100; tries += 1)
    await stage.advance(500);
  expect(stage.invariants.stateOf(id)).toBe(state);
}

function signed(): string[] {
  const db = new BetterSqlite3(stage.agents[0]!.journal, { readonly: true });
  const records = db.prepare('select compact from records order by seq').pluck().all() as string[];
  db.close();
  return records;
}

function held(): string[] {
  const db = new BetterSqlite3(stage.coordinator.config.databaseFile, { readonly: true });
  const records = db.prepare('select compact from records order by seq').pluck().all() as string[];
  db.close();
  return records;
}

describe('A coordinator that is dark for 24 hours', () => {
  it(
    'sees every result in its order when it is back, and no instance was touched meanwhile',
    async () => {
      const [agent] = stage.agents;
      const { objects } = agent!.parts.backend;
      const long = await rent(24);
      await untilStateIs(long, 'active');
      const short = await rent(2);
      await untilStateIs(short, 'active');
      // The instance is there, and the coordinator goes before it can hear of it.
      const made = await rent(24);
      for (let tries = 0; objects.size < 3 && tries < 10_000; tries += 1) await stage.advance(1);
      expect(stage.invariants.stateOf(made)).toBe('provisioning');
      stage.coordinator.crash();
      const known = held();
      await stage.advance(12 * HOUR_MS);
      agent!.crash();
      void agent!.start();
      await stage.advance(12 * HOUR_MS);

      expect(new Set([...objects.values()].map(({ contractId }) => contractId))).toEqual(
        new Set([long, short, made]),
      );
      expect([...objects.values()].every(({ power }) => power === 'running')).toBe(true);
      expect(held()).toEqual(known);
      const told = signed();
      expect(told.length).toBeGreaterThan(known.length + 24);

      await stage.coordinator.start();
      await stage.advance(5 * 60_000);
      expect(held().slice(0, told.length)).toEqual(told);
      await untilStateIs(made, 'active');
      expect(stage.invariants.stateOf(short)).toBe('expired');
      expect([...objects.values()].map(({ contractId }) => contractId)).not.toContain(short);
    },
    TIMEOUT_MS,
  );
});
