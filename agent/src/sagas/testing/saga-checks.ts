/**
 * Three questions to every saga: does it bear each step running twice, does a failure at any step leave nothing,
 * and does a crash at any moment change nothing? Answered by looking at the backend and at the chain of records.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '@dc/shared/errors';
import type { RunStep, SagaDefinition } from '../saga.ts';
import { AgentWorld, Crash, type Life } from './agent-world.ts';

/** What a check plays: the same from the start in every life, since orders are delivered until they are answered. */
export interface Scenario {
  readonly name: string;
  /** Sets the scene before the first life. */
  readonly prepare?: (world: AgentWorld) => void;
  readonly play: (life: Life, world: AgentWorld) => Promise<void>;
  /** Fails where the end is not what it should be. Called with the life that came to rest. */
  readonly check: (life: Life, world: AgentWorld) => void | Promise<void>;
}

/** What was tried. */
export interface CrashCount {
  /** The names of the moments of a life without a crash, in order: one crash was tried at each. */
  readonly points: readonly string[];
  readonly single: number;
  readonly double: number;
}

/** Every `nth` single crash is followed by a second one, at every moment of the second life. */
const DOUBLE_EVERY = 8;

/** In memory where the system has such a folder: these crashes are of the process, and syncing costs most of the time. */
const FOLDER = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** Runs each call and each undo twice in a row, and goes on with the second answer. */
export function twice(definition: SagaDefinition): SagaDefinition {
  return mapSteps(definition, (step) => ({
    ...step,
    run: async (context) => {
      await step.run(context);
      return step.run(context);
    },
    undo:
      step.undo === null
        ? null
        : async (context) => {
            await step.undo?.(context);
            await step.undo?.(context);
          },
  }));
}

/** Makes one step fail for good: before its call, or after the call was carried out. */
export function failingAt(stepName: string, moment: 'before' | 'after') {
  return (definition: SagaDefinition): SagaDefinition =>
    mapSteps(definition, (step) => {
      if (step.name !== stepName) return step;
      const run: RunStep['run'] = async (context) => {
        if (moment === 'after') await step.run(context);
        throw new AppError('PROVISIONER_FOREIGN', 'It failed because the test wanted it to.');
      };
      return { ...step, run };
    });
}

/** The names of the steps with a call. */
export function callNames(definition: SagaDefinition): string[] {
  return definition.steps.flatMap((step) => (step.kind === 'run' ? [step.name] : []));
}

/**
 * Plays the scenario without a crash, then once for every moment at which it can crash, and for some of these once
 * more for every moment of the life that follows. Each time the check must hold in the end.
 */
export async function crashEverywhere(scenario: Scenario): Promise<CrashCount> {
  const points = await playLives(scenario, []);
  let double = 0;
  for (let first = 1; first <= points.length; first += 1) {
    const { length: inSecondLife } = await playLives(scenario, [first]);
    if (first % DOUBLE_EVERY !== 0) continue;
    for (let second = 1; second <= inSecondLife; second += 1) {
      await playLives(scenario, [first, second]);
      double += 1;
    }
  }
  return { points, single: points.length, double };
}

/** The table's lines for one scenario: each point, how often it was crashed at, and what came of it. */
export function renderCrashes(name: string, { points, single, double }: CrashCount): string[] {
  const counts = new Map<string, number>();
  for (const point of points) counts.set(point, (counts.get(point) ?? 0) + 1);
  const width = Math.max(...[...counts.keys()].map(({ length }) => length));
  return [
    `crashes during ${name}: ${String(single)} points, ${String(double)} pairs of them → the same end each time`,
    ...[...counts].map(
      ([point, count]) => `    ${point.padEnd(width)}  ${String(count).padStart(2)} ×  → same end`,
    ),
  ];
}

/** Plays lives that crash at the given moments, then one to the end. Answers the moments that one had. */
async function playLives(scenario: Scenario, crashes: readonly number[]): Promise<readonly string[]> {
  const folder = await mkdtemp(join(FOLDER, 'dc-agent-'));
  const world = new AgentWorld(folder);
  scenario.prepare?.(world);
  try {
    for (const crashAt of crashes) await playLife(scenario, world, crashAt);
    const last = await playLife(scenario, world, Infinity);
    try {
      await scenario.check(last, world);
    } catch (error) {
      throw new Error(`${scenario.name}, crashed at ${crashes.join(' and ')}: ${String(error)}`, {
        cause: error,
      });
    }
    return last.moments;
  } finally {
    await world.close();
    await rm(folder, { recursive: true });
  }
}

async function playLife(scenario: Scenario, world: AgentWorld, crashAt: number): Promise<Life> {
  const life = world.start(crashAt);
  try {
    life.wakeUp();
    await scenario.play(life, world);
    await life.rest();
  } catch (error) {
    if (!(error instanceof Crash)) throw error;
  }
  if (crashAt !== Infinity) await life.end();
  return life;
}

function mapSteps(definition: SagaDefinition, change: (step: RunStep) => RunStep): SagaDefinition {
  return {
    ...definition,
    steps: definition.steps.map((step) => (step.kind === 'run' ? change(step) : step)),
  };
}
