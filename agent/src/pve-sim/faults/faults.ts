/** Carries a fault script out: decides for each request, task and boot what goes wrong, and for each moment. */
import { sleep, type Clock } from '@dc/shared/clock';
import { randomFraction, type Random } from '@dc/shared/random';
import type { TaskRun } from '../cluster/tasks.ts';
import type { MachineSpec } from '../guests/machine.ts';
import type { GuestBehaviour } from '../guests/simulated-machine.ts';
import { PveError } from '../http/pve-error.ts';
import type { BootRule, FaultScript, RequestRule, TaskRule } from './fault-script.ts';

type CountedRule = RequestRule | TaskRule | BootRule;

const NO_FAULTS: FaultScript = { rules: [] };
/** As long as a task that hangs is let hang: nobody waits for a day. */
const HANG_MS = 24 * 3_600_000;

export class Faults {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #startedAtMs: number;
  readonly #matched = new Map<CountedRule, number>();
  readonly #done = new Map<CountedRule, number>();
  #script: FaultScript;

  constructor(script: FaultScript | undefined, clock: Clock, random: Random) {
    this.#script = script ?? NO_FAULTS;
    this.#clock = clock;
    this.#random = random;
    this.#startedAtMs = clock.monotonic();
  }

  get script(): FaultScript {
    return this.#script;
  }

  /** Adds rules about requests, tasks and boots from now on. Answers what takes them away again. */
  add(...rules: readonly CountedRule[]): () => void {
    this.#script = { rules: [...this.#script.rules, ...rules] };
    return () => {
      this.#script = { rules: this.#script.rules.filter((rule) => !rules.includes(rule as CountedRule)) };
    };
  }

  /** The first rule that a request meets. */
  ofRequest(method: string, path: string): RequestRule | undefined {
    return this.#first(
      'request',
      (rule) => (rule.method ?? method) === method && fits(rule.path ?? '*', path),
    );
  }

  /** Runs the work of a task with what goes wrong in it. */
  async runTask(run: TaskRun, work: () => Promise<void>): Promise<void> {
    const { type, node, id } = run.task;
    const rule = this.#first(
      'task',
      (each) => fits(each.type ?? '*', type) && fits(each.node ?? '*', node) && fits(each.id ?? '*', id),
    );
    if (rule === undefined) return work();
    if (rule.delayMs !== undefined) await sleep(this.#clock, rule.delayMs, run.signal);
    if (rule.hang === true) await sleep(this.#clock, HANG_MS, run.signal);
    if (rule.crash === true) throw PveError.failed('unexpected status');
    run.willFail = rule.fail;
    for (const warning of rule.warnings ?? []) run.warn(warning);
    await work();
    if (rule.failAfter !== undefined) throw PveError.failed(rule.failAfter);
    if (run.willFail !== undefined) throw PveError.failed(run.willFail);
  }

  /** How a machine behaves that boots now. */
  ofBoot(spec: MachineSpec): GuestBehaviour {
    const rule = this.#first(
      'boot',
      (each) => (each.vmid ?? spec.vmid) === spec.vmid && fits(each.name ?? '*', spec.name),
    );
    if (rule === undefined) return {};
    const { agent, ssh, dhcp, cloudInit, ignoresPowerButton, bootMs, agentMs, extraInterfaces } = rule;
    return {
      ...(agent === undefined ? {} : { agent }),
      ...(ssh === undefined ? {} : { ssh }),
      ...(dhcp === undefined ? {} : { dhcp }),
      ...(cloudInit === undefined ? {} : { cloudInit }),
      ...(ignoresPowerButton === undefined ? {} : { ignoresPowerButton }),
      ...(bootMs === undefined ? {} : { bootMs }),
      ...(agentMs === undefined ? {} : { agentMs }),
      ...(extraInterfaces === undefined ? {} : { extraInterfaces: interfacesOf(extraInterfaces) }),
    };
  }

  #first<Kind extends CountedRule['on']>(
    kind: Kind,
    isMet: (rule: Extract<CountedRule, { on: Kind }>) => boolean,
  ) {
    for (const rule of this.#script.rules) {
      if (rule.on !== kind) continue;
      const candidate = rule as Extract<CountedRule, { on: Kind }>;
      if (isMet(candidate) && this.#isDue(candidate)) return candidate;
    }
    return undefined;
  }

  /** Counts an occasion, and says whether it is one of those that the rule is for. */
  #isDue(rule: CountedRule): boolean {
    const sinceMs = this.#clock.monotonic() - this.#startedAtMs;
    if (sinceMs < (rule.fromMs ?? 0) || sinceMs > (rule.untilMs ?? Infinity)) return false;
    const occasion = (this.#matched.get(rule) ?? 0) + 1;
    this.#matched.set(rule, occasion);
    const done = this.#done.get(rule) ?? 0;
    if (rule.nth !== undefined && !rule.nth.includes(occasion)) return false;
    if (rule.times !== undefined && done >= rule.times) return false;
    if (rule.probability !== undefined && randomFraction(this.#random) >= rule.probability) return false;
    this.#done.set(rule, done + 1);
    return true;
  }
}

function interfacesOf(
  addresses: Readonly<Record<string, string>>,
): NonNullable<GuestBehaviour['extraInterfaces']> {
  return Object.entries(addresses).map(([name, address], index) => ({
    name,
    'hardware-address': `02:42:00:00:00:${(index + 1).toString(16).padStart(2, '0')}`,
    'ip-addresses': [
      { 'ip-address-type': address.includes(':') ? 'ipv6' : 'ipv4', 'ip-address': address, prefix: 24 },
    ],
  }));
}

/** Whether a text fits a pattern in which `*` stands for anything. */
function fits(pattern: string, text: string): boolean {
  const expression = pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*');
  return new RegExp(`^${expression}$`).test(text);
}
