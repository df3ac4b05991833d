/**
 * What people who run things do in a simulation: admins pause and resume contracts, replace the coordinator's key, and
 * restore it from a backup; providers take agents out of sale and bring them back.
 */
import { announceKey } from '../../coordinator/src/keys/rotate-key.ts';
import { findDifferences } from '../../coordinator/src/safe-mode/differences.ts';
import { resolveSafeMode } from '../../coordinator/src/safe-mode/resolve-safe-mode.ts';
import { isAppError } from '@dc/shared/errors';
import type { AvailabilityChange } from '../../agent/src/availability/availability.ts';
import type { AgentNode } from './agent-node.ts';
import type { CoordinatorNode } from './coordinator-node.ts';
import type { Dice } from './dice.ts';
import type { Invariants } from './invariants.ts';
import { PatientCalls, type PatientParts } from './patient-calls.ts';
import type { PaymentHouse } from './payment-house.ts';

const MINUTE_MS = 60_000;
const NOTHING_WISHED: AvailabilityChange = { draining: false, maintenanceUntil: null };

export interface OperatorParts extends PatientParts {
  readonly coordinator: CoordinatorNode;
  readonly agents: readonly AgentNode[];
  readonly invariants: Invariants;
  readonly house: PaymentHouse;
}

export class Operators {
  readonly #parts: OperatorParts;
  readonly #dice: Dice;
  readonly #calls: PatientCalls;
  /** Contracts that an admin is about to resume. */
  readonly #resuming = new Set<string>();
  /** Drained for good: what is there goes on, and nothing new comes, whatever the others do. */
  #retired: AgentNode | null = null;
  #backup: string | null = null;

  constructor(parts: OperatorParts) {
    this.#parts = parts;
    this.#dice = parts.world.dice.fork('operators');
    this.#calls = new PatientCalls(parts, this.#dice);
  }

  /** Plans what they do until `untilMs`. */
  plan(untilMs: number): void {
    const dice = this.#dice;
    const often = (times: number, act: () => void): void => {
      for (let left = times; left > 0; left -= 1)
        this.#parts.world.time.schedule(dice.between(5_000, untilMs), act);
    };
    often(dice.whole(0, 6), () => this.#pause());
    often(dice.whole(0, 3), () => this.#takeOutOfSale());
    if (dice.chance(0.25)) often(1, () => this.#replaceKey());
    if (dice.chance(0.15)) often(1, () => this.#drainForGood());
    if (!dice.chance(0.15)) return;
    const at = dice.between(10_000, untilMs / 2);
    this.#parts.world.time.schedule(at, () => this.#backUp());
    this.#parts.world.time.schedule(at + dice.between(5_000, untilMs / 2), () => this.#restore());
  }

  /** What they do whenever they look: what they want is so, whatever crashed meanwhile. */
  operate(): void {
    const { agents, world, invariants } = this.#parts;
    for (const agent of agents) agent.keepAvailability();
    void this.#resolveSafeMode();
    if (!world.isFaulty) for (const id of invariants.paused) void this.#resume(id);
  }

  /** From now on everything is for sale, but for what was drained for good. */
  end(): void {
    for (const agent of this.#parts.agents)
      if (Object.keys(agent.wish).length > 0) agent.wish = this.#wishFor(agent, NOTHING_WISHED);
    this.operate();
  }

  #wishFor(agent: AgentNode, wish: AvailabilityChange): AvailabilityChange {
    return agent === this.#retired ? { draining: true } : wish;
  }

  #drainForGood(): void {
    const { world, agents } = this.#parts;
    const agent = this.#dice.pick(agents);
    world.note('provider', `drains ${agent.name} for good`);
    this.#retired = agent;
    agent.wish = { draining: true };
    agent.keepAvailability();
  }

  #pause(): void {
    const { world, invariants } = this.#parts;
    const { active } = invariants;
    if (active.length === 0) return;
    const id = this.#dice.pick(active);
    world.note('admin', `pauses ${id}`);
    void this.#calls.post(`/admin/contracts/${id}/pause`, {});
    world.time.schedule(this.#dice.between(2_000, MINUTE_MS), () => void this.#resume(id));
  }

  async #resume(id: string): Promise<void> {
    if (this.#resuming.has(id)) return;
    this.#resuming.add(id);
    this.#parts.world.note('admin', `resumes ${id}`);
    await this.#calls.post(`/admin/contracts/${id}/resume`, {});
    this.#resuming.delete(id);
  }

  #takeOutOfSale(): void {
    const { world, agents } = this.#parts;
    const agent = this.#dice.pick(agents);
    const forMs = this.#dice.between(5_000, 2 * MINUTE_MS);
    const until = (agent.clock?.now() ?? 0) + forMs;
    const wish: AvailabilityChange = this.#dice.chance(0.6)
      ? { draining: true }
      : { maintenanceUntil: new Date(until).toISOString() };
    agent.wish = this.#wishFor(agent, wish);
    agent.keepAvailability();
    world.time.schedule(forMs, () => {
      agent.wish = this.#wishFor(agent, NOTHING_WISHED);
      agent.keepAvailability();
    });
  }

  #replaceKey(): void {
    const { world, coordinator } = this.#parts;
    const { environment, keyFile } = coordinator.config;
    const [startInMs, overlapMs] = [
      this.#dice.between(2_000, 40_000),
      this.#dice.between(10_000, 2 * MINUTE_MS),
    ];
    try {
      announceKey(
        { environment, keyFile, startInMs, overlapMs },
        { clock: coordinator.clock, random: this.#dice },
      );
      world.note('admin', 'announces another key');
    } catch (error) {
      if (!isAppError(error, 'KEY_ROTATION_PENDING')) throw error;
    }
  }

  #backUp(): void {
    this.#backup = this.#parts.coordinator.backUp();
  }

  /** The machine is lost, and somebody puts up another one with what they have. */
  #restore(): void {
    const { world, coordinator, invariants, house } = this.#parts;
    const folder = this.#backup;
    if (folder === null) return;
    const withMark = this.#dice.chance(0.5);
    coordinator.crash();
    world.time.schedule(this.#dice.between(100, 5_000), () => {
      if (invariants.restore(() => coordinator.restore(folder, { withMark }))) house.tellAgain();
      if (coordinator.life === null) void coordinator.start();
    });
  }

  /** Agents first have to say what they hold; one that was given up never will, and is not waited for. */
  async #resolveSafeMode(): Promise<void> {
    const { world, coordinator, agents } = this.#parts;
    const lost = new Set(agents.flatMap(({ isGivenUp, parts }) => (isGivenUp ? [parts.key.publicKey] : [])));
    try {
      const resolution = await coordinator.within(async ({ context }) => {
        const silent = (await findDifferences(context, context.db.read))?.silentAgents ?? [];
        const withoutSilent = silent.every((agent) => lost.has(agent));
        return resolveSafeMode(context, { withoutSilent });
      });
      if (resolution !== null) world.note('admin', `resolves the safe mode: ${JSON.stringify(resolution)}`);
    } catch (error) {
      if (!isAppError(error)) throw error; // It is tried again when they look again.
    }
  }
}
