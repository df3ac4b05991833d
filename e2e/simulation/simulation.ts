/**
 * Runs one seed: the real coordinator and real agents on virtual time, faults for some minutes, then none until
 * everything has come to rest. The same seed gives the same run, line by line.
 */
import { makeFolder } from './make-folder.ts';
import { Stage } from './stage.ts';
import { Trouble } from './trouble.ts';
import { World, Violation, type PlantedBug } from './world.ts';

export interface SimulationOptions {
  readonly seed: number;
  readonly bug?: PlantedBug;
  /** A shorter run with fewer contracts. */
  readonly isSmall?: boolean;
  /** How many contracts are wanted, where that is not left to the seed. Another number is another run. */
  readonly contracts?: number;
}

/** What became of a seed. */
export interface SimulationResult {
  readonly seed: number;
  /** Null where every invariant held and everything came to rest. */
  readonly violation: string | null;
  /** Contracts that were made. */
  readonly lives: number;
  /** Timers that fired, each with a check after it. */
  readonly steps: number;
  readonly virtualMs: number;
  /** Agents whose chain was forked, by an old disk or a second process, for good. */
  readonly givenUp: number;
  readonly faults: Readonly<Record<string, number>>;
  /** Over every line of the trace. */
  readonly traceHash: string;
  readonly trace: readonly string[];
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** How many contracts are wanted in a whole run. */
const [RENTALS_MIN, RENTALS_MAX] = [30, 60];
/** How long it may take until everything has come to rest, beside the hours that were paid for. */
const REST_MS_MAX = 25 * MINUTE_MS;
const LEAPS_MAX = 8;
/** How much of a whole run a small one is. */
const SMALL = 0.2;

/** Runs one seed to its end. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const { seed, bug } = options;
  const { folder, remove } = makeFolder();
  const world = new World(seed, folder, bug ?? null);
  const stage = new Stage(world);
  let violation: string | null = null;
  try {
    await play(stage, options);
  } catch (error) {
    violation = error instanceof Violation ? error.message : String((error as Error).stack);
  } finally {
    await stage.close();
    remove();
  }
  return {
    seed,
    violation,
    lives: stage.invariants.contracts,
    steps: stage.steps,
    virtualMs: world.time.now,
    givenUp: stage.givenUp,
    faults: Object.fromEntries([...world.faults].sort()),
    traceHash: world.trace.end(),
    trace: world.trace.lines,
  };
}

/** Faults for some minutes, then none until everything has come to rest. */
async function play(stage: Stage, { isSmall, contracts }: SimulationOptions): Promise<void> {
  const size = isSmall === true ? SMALL : 1;
  const { dice } = stage.world;
  const agents = Array.from({ length: dice.whole(1, 2) }, () => dice.whole(1, 2));
  await stage.set({ agents });
  stage.network.faultPercent = dice.chance(0.2) ? 0 : dice.between(0, 8);
  const trouble = new Trouble({ ...stageParts(stage), startTwin: (agent) => stage.startTwin(agent) });
  const troubledMs = size * dice.between(1.5 * MINUTE_MS, 4 * MINUTE_MS);
  trouble.plan(troubledMs);
  stage.operators.plan(troubledMs);
  const count = Math.round(size * dice.whole(RENTALS_MIN, RENTALS_MAX));
  planRentals(stage, trouble, { troubledMs, count: contracts ?? count });
  for (let passed = 0; passed < troubledMs; passed += 20_000) {
    await stage.advance(20_000);
    trouble.operate();
    stage.operators.operate();
  }
  for (const twin of stage.twins) await stage.retire(twin);
  await trouble.end();
  stage.operators.end();
  await comeToRest(stage, trouble);
}

const stageParts = ({ world, network, coordinator, agents, links }: Stage) => ({
  world,
  network,
  coordinator,
  agents,
  links,
});

function planRentals(
  { world, renters }: Stage,
  trouble: Trouble,
  { troubledMs, count }: { troubledMs: number; count: number },
): void {
  const dice = world.dice.fork('rentals');
  for (let left = count; left > 0; left -= 1) {
    const renter = dice.pick(renters);
    world.time.schedule(dice.between(0, troubledMs - 20_000), () => {
      void renter.rent((contractId) => trouble.putForeign(contractId));
    });
  }
}

/** Everything that was begun must end by itself, within bounded time. */
async function comeToRest(stage: Stage, trouble: Trouble): Promise<void> {
  const { world, invariants, operators } = stage;
  const deadline = world.time.now + REST_MS_MAX;
  for (let leaps = 0; world.time.now < deadline;) {
    await stage.advance(5_000);
    trouble.operate();
    operators.operate();
    const unrest = invariants.unrest();
    if (unrest.length === 0) break;
    // Only the paid time has to pass: the night, on every clock.
    const isWaiting = unrest.every((line) =>
      / is (active|requested), |holds its place|escrow|^refund(ed)?: |^outbox: payment\.refund /.test(line),
    );
    if (isWaiting && !stage.house.isBusy && leaps < LEAPS_MAX) {
      stage.leap(HOUR_MS);
      leaps += 1;
    }
  }
  const unrest = invariants.unrest();
  if (unrest.length > 0) world.violate('rest', unrest.join('; '));
  world.assertSound();
}
