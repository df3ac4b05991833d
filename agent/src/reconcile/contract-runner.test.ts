import { AppError } from '@dc/shared/errors';
import { afterEach, describe, expect, it } from 'vitest';
import { anOrder, CONTRACT_ID } from '../journal/testing/builders.ts';
import { AgentWorld, type Life, type WorldOptions } from '../sagas/testing/agent-world.ts';
import { settle } from '@dc/shared/testing/manual-clock';
import { tempDirs } from '../testing/temp-dir.ts';
import { planSteps, type Situation } from './plan-steps.ts';
import { confirmReleases } from '../breaker/destruction-breaker.ts';
import { desiredOf } from './desired.ts';

const tempDir = tempDirs();
const worlds: AgentWorld[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) {
    await world.close();
    expect(world.clock.timerCount).toBe(0);
  }
});

async function newWorld(options: WorldOptions = {}): Promise<AgentWorld> {
  const world = new AgentWorld(await tempDir(), options);
  worlds.push(world);
  return world;
}

const contract = (index: number): string => `01976f00-0000-7000-8000-${String(index).padStart(12, '0')}`;
const count = (life: Life, moment: string): number => life.moments.filter((one) => one === moment).length;
const MINUTE_MS = 60_000;

/** Makes the next `calls` creates take their time. */
function slowCreates(world: AgentWorld, calls: number, delayMs = MINUTE_MS): void {
  for (let index = 0; index < calls; index += 1)
    world.backend.inject({ on: 'create', what: 'late', delayMs });
}

/** What the planner says of a contract in this life. */
function planOf(life: Life, world: AgentWorld, contractId = CONTRACT_ID): ReturnType<typeof planSteps> {
  const view = life.journal.contract(contractId)!;
  const situation: Situation = {
    view,
    desired: desiredOf(view),
    observed: { existence: { existence: 'unknown', reason: 'nobody has looked' }, at: 0 },
    now: world.clock.now(),
    definitionOf: (saga) => life.engine.definitionOf(saga),
    slotFree: life.runner.hasSlot(contractId),
  };
  return planSteps(situation);
}

describe('Several contracts', () => {
  it('are taken in one commit and worked on at once, up to the limit', async () => {
    const world = await newWorld({ slots: 2 });
    slowCreates(world, 2);
    const life = world.start();
    life.receive(...[1, 2, 3, 4, 5].map((index) => anOrder({ contractId: contract(index) })));
    await settle();
    expect(life.commits).toEqual(['orders.received']);
    expect(count(life, 'before create')).toBe(2);
    expect(life.runner.activeCount).toBe(2);
    expect(life.journal.contract(contract(3))!.sagas).toEqual([]);
    expect(planOf(life, world, contract(3))).toMatchObject([{ name: 'wait', reason: 'waiting_for_slot' }]);
    await life.rest();
    expect(world.backend.objects.size).toBe(5);
    expect(life.records()).toHaveLength(5);
  });

  it('are served in the order in which they came', async () => {
    const world = await newWorld({ slots: 1 });
    slowCreates(world, 1);
    const life = world.start();
    for (const index of [1, 2, 3]) life.receive(anOrder({ contractId: contract(index) }));
    await life.rest();
    expect(life.records().map(({ contract_id }) => contract_id)).toEqual([1, 2, 3].map(contract));
  });

  it('do not keep a tombstone waiting for a slot', async () => {
    const world = await newWorld({ slots: 1 });
    const life = world.start();
    life.receive(anOrder());
    await life.rest();
    slowCreates(world, 1);
    life.receive(anOrder({ contractId: contract(2) }));
    await settle();
    life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
    await settle();
    expect(world.instancesOf(CONTRACT_ID)).toBe(0);
    expect(life.runner.activeCount).toBe(1);
    await life.rest();
    expect(life.records().map(({ kind }) => kind)).toEqual(['provisioned', 'destroyed', 'provisioned']);
  });

  it('give their slot to others while they wait for their next try', async () => {
    const world = await newWorld({ slots: 1 });
    world.backend.inject({ on: 'create', what: 'error' });
    const life = world.start();
    life.receive(anOrder(), anOrder({ contractId: contract(2) }));
    await settle();
    expect(life.records().map(({ contract_id }) => contract_id)).toEqual([contract(2)]);
    await life.rest();
    expect(life.records()).toHaveLength(2);
  });
});

describe('A lease', () => {
  it('that is lost stops the work at once, and a new one takes it up', async () => {
    const world = await newWorld();
    slowCreates(world, 1);
    const life = world.start();
    life.receive(anOrder());
    await settle();
    life.runner.lose(CONTRACT_ID, 1);
    await settle();
    expect(life.runner.activeCount).toBe(0);
    expect(planOf(life, world)).toMatchObject([{ name: 'wait', reason: 'lease_lost' }]);
    await world.clock.advance(10 * MINUTE_MS);
    expect(life.records()).toEqual([]);
    life.receive(anOrder({ epoch: 2 }));
    await life.rest();
    expect(world.backend.objects.size).toBe(1);
    expect(life.records()).toMatchObject([{ kind: 'provisioned', epoch: 2 }]);
  });

  it('that nobody renews stops the work at 60 % of its time', async () => {
    const world = await newWorld();
    slowCreates(world, 1, 4 * MINUTE_MS);
    const life = world.start();
    const order = anOrder();
    const now = world.clock.now();
    life.runner.receive([{ order, lease: life.leaseOf(order, { expiresAt: now + 5 * MINUTE_MS }) }]);
    await world.clock.advance(3 * MINUTE_MS - 1);
    expect(life.runner.activeCount).toBe(1);
    await world.clock.advance(1);
    expect(life.runner.activeCount).toBe(0);
    expect(planOf(life, world)).toMatchObject([
      { name: 'wait', reason: 'lease_lost', since: now + 3 * MINUTE_MS },
    ]);
    await world.clock.advance(MINUTE_MS); // Lets the backend end its create.
  });

  it('that is renewed lets the work go on', async () => {
    const world = await newWorld();
    slowCreates(world, 1, 4 * MINUTE_MS);
    const life = world.start();
    const order = anOrder();
    const short = (): ReturnType<Life['leaseOf']> =>
      life.leaseOf(order, { expiresAt: world.clock.now() + 5 * MINUTE_MS });
    life.runner.receive([{ order, lease: short() }]);
    await world.clock.advance(2 * MINUTE_MS);
    life.runner.renew([short()]);
    await world.clock.advance(2 * MINUTE_MS);
    expect(life.records().map(({ kind }) => kind)).toEqual(['provisioned']);
    await life.rest();
  });

  it('is not lost by news of an older one', async () => {
    const world = await newWorld();
    slowCreates(world, 1);
    const life = world.start();
    life.receive(anOrder({ epoch: 2 }));
    await settle();
    life.runner.lose(CONTRACT_ID, 1);
    await life.rest();
    expect(life.records()).toHaveLength(1);
  });

  it('is not needed to destroy by a tombstone', async () => {
    const world = await newWorld();
    const life = world.start();
    life.receive(anOrder());
    await life.rest();
    for (let index = 0; index < 3; index += 1) world.backend.inject({ on: 'destroy', what: 'error' });
    life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
    await settle();
    life.runner.lose(CONTRACT_ID, 2);
    await life.rest();
    expect(world.backend.objects.size).toBe(0);
    expect(life.records().map(({ kind }) => kind)).toEqual(['provisioned', 'destroyed']);
  });
});

describe('A tombstone during provisioning', () => {
  it('stops the create, removes what it made, and reports once', async () => {
    const world = await newWorld();
    world.backend.inject({ on: 'create', what: 'reply_lost' });
    const life = world.start();
    life.receive(anOrder());
    await settle();
    expect(world.backend.objects.size).toBe(1);
    life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
    await settle();
    expect(world.backend.objects.size).toBe(0);
    expect(life.records()).toMatchObject([{ kind: 'destroyed', epoch: 2, data: { never_existed: false } }]);
    const outcomes = life.journal
      .contract(CONTRACT_ID)!
      .sagas.map(({ name, finished }) => [name, finished!.outcome]);
    expect(outcomes).toEqual([
      ['provision-instance', 'cancelled'],
      ['release-instance', 'reported'],
    ]);
  });

  it('that comes before its provision order lets nothing be built', async () => {
    const world = await newWorld();
    const life = world.start();
    life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
    await life.rest();
    life.receive(anOrder({ epoch: 1 }), anOrder({ epoch: 3 }));
    await life.rest();
    expect(count(life, 'before create')).toBe(0);
    expect(life.journal.undeliveredReturns(10)).toMatchObject([{ epoch: 3, returned: { code: 'refused' } }]);
  });
});

describe('Stopping the agent', () => {
  it('leaves the work open, and the next life ends it with one instance', async () => {
    const world = await newWorld();
    slowCreates(world, 1);
    const life = world.start();
    life.receive(anOrder(), anOrder({ contractId: contract(2) }));
    await settle();
    await life.runner.stop();
    expect(life.runner.activeCount).toBe(0);
    expect(world.clock.timerCount).toBe(1); // The backend's own: the create goes on there.
    expect(life.journal.contract(CONTRACT_ID)!.sagas[0]!.finished).toBeNull();
    world.keepFiles();
    await life.end();
    const next = world.start();
    next.wakeUp();
    await next.rest();
    expect(world.backend.objects.size).toBe(2);
    expect(
      next
        .records()
        .map(({ kind }) => kind)
        .sort(),
    ).toEqual(['provisioned', 'provisioned']);
  });

  it('begins nothing new', async () => {
    const world = await newWorld();
    const life = world.start();
    await life.runner.stop();
    life.receive(anOrder());
    await settle();
    expect(count(life, 'before create')).toBe(0);
    expect(life.journal.contractIds('live')).toEqual([CONTRACT_ID]);
  });

  it('waits with idle() for what is at work', async () => {
    const world = await newWorld();
    slowCreates(world, 1);
    const life = world.start();
    await life.runner.idle();
    life.receive(anOrder());
    let isIdle = false;
    const waiting = life.runner.idle().then(() => (isIdle = true));
    await settle();
    expect(isIdle).toBe(false);
    await world.clock.advance(MINUTE_MS);
    await waiting;
    expect(life.records()).toHaveLength(1);
  });
});

describe('A journal that cannot be written', () => {
  it('lets nothing happen outside, and the work goes on when it can', async () => {
    const world = await newWorld();
    world.backend.inject({ on: 'create', what: 'error' });
    const life = world.start();
    life.receive(anOrder());
    await settle();
    life.writeError = new AppError('DATABASE_FULL');
    await world.clock.advance(10 * MINUTE_MS);
    expect(count(life, 'before create')).toBe(1);
    expect(world.logged.filter(({ message }) => message === 'contract.plan.crashed').length).toBeGreaterThan(
      3,
    );
    life.writeError = null;
    await life.rest();
    expect(life.records().map(({ kind }) => kind)).toEqual(['provisioned']);
  });

  it('takes no order, so that the coordinator offers it again', async () => {
    const world = await newWorld();
    const life = world.start();
    life.writeError = new AppError('DATABASE_FULL');
    expect(() => life.receive(anOrder())).toThrow(AppError);
    expect(life.journal.contract(CONTRACT_ID)).toBeNull();
    expect(count(life, 'before create')).toBe(0);
  });
});

describe('Work that must wait for a person', () => {
  it('is left as it is when another version of the program began it', async () => {
    const world = await newWorld({ wrap: (saga) => ({ ...saga, version: 99 }) });
    world.backend.inject({ on: 'create', what: 'reply_lost' });
    const newer = world.start();
    newer.receive(anOrder());
    await settle();
    world.keepFiles();
    await newer.end();
    world.wrap = (saga) => saga;
    const older = world.start();
    older.wakeUp();
    older.receive(anOrder({ kind: 'destroy', epoch: 2 }));
    await older.rest();
    expect(planOf(older, world)).toMatchObject([{ name: 'wait', reason: 'saga_unknown' }]);
    expect(world.backend.objects.size).toBe(1);
    expect(older.commits).toEqual(['orders.received']);
  });

  it('is a release while destruction is paused', async () => {
    const world = await newWorld();
    world.destructionsPerHour = 0;
    const life = world.start();
    life.receive(anOrder());
    await life.rest();
    life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
    await life.rest();
    expect(world.backend.objects.size).toBe(1);
    expect(planOf(life, world)).toMatchObject([{ name: 'wait', reason: 'destruction_paused' }]);
    const waiting = life.journal.pausedReleases().map(({ sagaId }) => sagaId);
    expect(confirmReleases(life.journal, waiting, world.clock.now())).toEqual([CONTRACT_ID]);
    life.runner.nudge(CONTRACT_ID);
    await life.rest();
    expect(world.backend.objects.size).toBe(0);
  });
});

describe('A clock that is set back', () => {
  it('does not make an old look at the backend new: nothing is released twice for it', async () => {
    const world = await newWorld();
    const life = world.start();
    life.receive(anOrder());
    await life.rest();
    await world.clock.advance(MINUTE_MS);
    await life.observe(CONTRACT_ID);
    world.clock.jump(-30 * MINUTE_MS);
    life.receive(anOrder({ kind: 'destroy', epoch: 2 }));
    await life.rest();
    expect(life.records().map(({ kind }) => kind)).toEqual(['provisioned', 'destroyed']);
  });

  it('does not put the next try off for as long as the clock was wrong', async () => {
    const world = await newWorld();
    world.backend.inject({ on: 'create', what: 'error' });
    world.clock.jump(1_000 * 24 * 60 * MINUTE_MS);
    const life = world.start();
    life.receive(anOrder());
    await settle();
    world.clock.jump(-1_000 * 24 * 60 * MINUTE_MS);
    life.receive(anOrder({ epoch: 2 }));
    await life.rest();
    expect(life.records().map(({ kind }) => kind)).toEqual(['provisioned']);
  });
});

describe('A contract that does not come to rest', () => {
  it('is slowed down, and does not fill the chain with records', async () => {
    const world = await newWorld();
    const life = world.start();
    // A report that answers nothing, as a bug would make it: under an epoch that nobody ordered.
    const { journal } = life;
    const contractOf = journal.contract.bind(journal);
    journal.contract = (contractId) => {
      const view = contractOf(contractId);
      return view && { ...view, sagas: view.sagas.filter(({ finished }) => finished === null) };
    };
    life.receive(anOrder());
    await settle();
    expect(life.records().length).toBeLessThan(15);
    expect(world.logged.map(({ message }) => message)).toContain('contract.plan.crashed');
    journal.contract = contractOf;
    await life.rest();
  });
});
