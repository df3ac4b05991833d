/**
 * The network between the nodes: every request and every answer takes its time, and may be lost, doubled, delayed,
 * overtaken, or held up by a partition. What is lost is silence: the sender learns of it by its own deadline.
 */
import type { Dice } from './dice.ts';
import type { World } from './world.ts';

const LATENCY_MS = { low: 1, high: 40 };
/** Longer than a caller's own deadline now and then. */
const DELAY_MS = { low: 500, high: 40_000 };

/** The line of one node to the coordinator. */
export class Link {
  readonly name: string;
  /** Nothing passes, in either direction. */
  isCut = false;
  /** Called when the line is cut. */
  readonly onCut = new Set<() => void>();

  constructor(name: string) {
    this.name = name;
  }

  cut(): void {
    this.isCut = true;
    for (const listener of [...this.onCut]) listener();
  }

  mend(): void {
    this.isCut = false;
  }
}

type Fate = 'fine' | 'request_lost' | 'answer_lost' | 'doubled' | 'delayed';

/** Carries requests over links. */
export class Network {
  readonly #world: World;
  readonly #dice: Dice;
  /** How many of a hundred messages meet each fault. */
  faultPercent: number;

  constructor(world: World, faultPercent: number) {
    this.#world = world;
    this.#dice = world.dice.fork('network');
    this.faultPercent = faultPercent;
  }

  /** Brings a request to `deliver` and its answer back. Settles as `deliver` does, or never where one was lost. */
  carry<T>(link: Link, what: string, deliver: () => Promise<T>): Promise<T> {
    const { time } = this.#world;
    const fate = this.#fate();
    if (fate !== 'fine') this.#world.fault(`network ${fate}`, link.name, what);
    return new Promise((resolve, reject) => {
      const arrive = (): void => {
        if (link.isCut) return;
        const bringBack =
          <V>(end: (value: V) => void) =>
          (value: V): void => {
            if (fate === 'answer_lost') return;
            time.schedule(this.#latencyMs(fate), () => {
              if (!link.isCut) end(value);
            });
          };
        deliver().then(bringBack(resolve), bringBack(reject));
      };
      if (fate === 'request_lost') return;
      time.schedule(this.#latencyMs(fate), arrive);
      if (fate === 'doubled') time.schedule(this.#latencyMs('delayed'), arrive);
    });
  }

  /** How long a message takes now, in milliseconds; null where it does not arrive. */
  oneWay(link: Link): number | null {
    const fate = this.#fate();
    return link.isCut || fate === 'request_lost' ? null : this.#latencyMs(fate);
  }

  #fate(): Fate {
    if (!this.#dice.chance(this.faultPercent / 100)) return 'fine';
    return this.#dice.pick(['request_lost', 'answer_lost', 'doubled', 'delayed']);
  }

  #latencyMs(fate: Fate): number {
    const { low, high } = fate === 'delayed' && this.#dice.chance(0.5) ? DELAY_MS : LATENCY_MS;
    return Math.round(this.#dice.between(low, high));
  }
}
