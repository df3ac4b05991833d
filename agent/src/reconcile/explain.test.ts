import { afterEach, describe, expect, it } from 'vitest';
import type { WireExplanation } from '@dc/shared/wire/explanation';
import { anOrder, CONTRACT_ID } from '../journal/testing/builders.ts';
import { AgentWorld, type Life, type WorldOptions } from '../sagas/testing/agent-world.ts';
import { failingAt } from '../sagas/testing/saga-checks.ts';
import { settle } from '@dc/shared/testing/manual-clock';
import { tempDirs } from '../testing/temp-dir.ts';
import { BLOCKING_REASONS } from './blocking-reasons.ts';
import { desiredOf } from './desired.ts';
import { explain } from './explain.ts';

const tempDir = tempDirs();
const worlds: AgentWorld[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close();
});

async function newWorld(options: WorldOptions = {}): Promise<AgentWorld> {
  const world = new AgentWorld(await tempDir(), options);
  worlds.push(world);
  return world;
}

function explainNow(life: Life, world: AgentWorld): WireExplanation {
  const view = life.journal.contract(CONTRACT_ID)!;
  return explain({
    view,
    desired: desiredOf(view),
    observed: { existence: { existence: 'unknown', reason: 'nobody has looked' }, at: 0 },
    now: world.clock.now(),
    definitionOf: (saga) => life.engine.definitionOf(saga),
    slotFree: true,
  });
}

describe('The table of blocking reasons', () => {
  it.each(Object.entries(BLOCKING_REASONS))(
    'says for %s what it means and what to do',
    (_code, { text, remedy }) => {
      expect(text).toMatch(/^[A-Z].{15,}\.$/);
      expect(remedy).toMatch(/^[A-Z].{15,}\.$/);
    },
  );
});

describe('Explaining a contract', () => {
  it('says that everything is as it should be', async () => {
    const world = await newWorld();
    const life = world.start();
    life.receive(anOrder());
    await life.rest();
    expect(explainNow(life, world)).toMatchObject({
      contract_id: CONTRACT_ID,
      desired: 'running, by order order-provision-00c1 (provision, epoch 1), done',
      observed: 'unknown at the backend (nobody has looked); the journal says running',
      next_step: 'none: everything is as it should be',
      blocked_by: null,
      since: null,
      last_attempts: [
        { saga: 'provision-instance', step: 'names', outcome: 'succeeded' },
        { saga: 'provision-instance', step: 'create', outcome: 'succeeded' },
        { saga: 'provision-instance', step: 'wait_for_ssh', outcome: 'succeeded' },
      ],
      command: null,
    });
  });

  it('shows the last tries with their codes, and when the next one is', async () => {
    const world = await newWorld();
    for (let index = 0; index < 4; index += 1) world.backend.inject({ on: 'create', what: 'error' });
    const life = world.start();
    life.receive(anOrder());
    await settle();
    const { next_step, blocked_by, since, last_attempts } = explainNow(life, world);
    expect(next_step).toMatch(/^wait until 2026-11-20T12:00:00/);
    expect(blocked_by).toMatchObject({ code: 'retry_later', text: BLOCKING_REASONS.retry_later.text });
    expect(since).toBe('2026-11-20T12:00:00.000Z');
    expect(last_attempts.at(-1)).toMatchObject({
      step: 'create',
      attempt: 1,
      outcome: 'failed',
      code: 'PROVISIONER_UNAVAILABLE',
    });
    await life.rest();
  });

  it('says that a person is needed when an undo keeps failing, and with which command to begin', async () => {
    const world = await newWorld({ wrap: failingAt('wait_for_ssh', 'after') });
    for (let index = 0; index < 30; index += 1) world.backend.inject({ on: 'destroy', what: 'error' });
    const life = world.start();
    life.receive(anOrder());
    await world.clock.advance(3_600_000);
    const { blocked_by, command, last_attempts } = explainNow(life, world);
    expect(blocked_by).toMatchObject({ code: 'needs_attention' });
    expect(command).toBe('dc-agent doctor');
    expect(last_attempts).toHaveLength(5);
    expect(last_attempts.every(({ undo, outcome }) => undo && outcome === 'failed')).toBe(true);
    await life.rest();
  });

  it('says of a try that a crash cut off that its end is not known', async () => {
    const world = await newWorld();
    const life = world.start(3);
    life.receive(anOrder());
    await settle();
    const next = world.start();
    expect(explainNow(next, world)).toMatchObject({
      next_step: 'go on with provision-instance',
      last_attempts: [{ step: 'names' }, { step: 'create', outcome: 'unknown', code: null }],
    });
  });

  it('says that nothing is wanted of an order that went back', async () => {
    const world = await newWorld();
    const life = world.start();
    life.receive(anOrder({ kind: 'stop' }));
    expect(explainNow(life, world)).toMatchObject({
      desired: 'nothing: no order that this agent has kept',
      next_step: 'none: everything is as it should be',
    });
  });
});
