/** A simulator with a client for a test file, checked against the vendor's description where that is at hand. */
import { afterEach } from 'vitest';
import { systemClock } from '../../lib/system-clock.ts';
import { seededRandom } from '../seeded-random.ts';
import type { PveSimulatorOptions } from '../simulator-options.ts';
import { startPveSimulator, type PveSimulator } from '../start-pve-simulator.ts';
import { findOfficialSchema } from './find-official-schema.ts';
import { SimClient } from './sim-client.ts';

/** A running simulator and who speaks with it. */
export interface SimFixture {
  readonly simulator: PveSimulator;
  readonly client: SimClient;
  /** Another client, with another token. */
  as(token: string): SimClient;
}

/** Answers how to start simulators; each is closed after its test. To be called once in a file. */
export function simFixtures(): (options?: Partial<PveSimulatorOptions>) => Promise<SimFixture> {
  const open: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const each of open.splice(0).reverse()) await each.close();
  });
  return async (options = {}) => {
    const schema = await findOfficialSchema(options.version ?? '8.4');
    const simulator = await startPveSimulator({
      clock: systemClock,
      random: seededRandom(1),
      schema,
      ...options,
    });
    open.push(simulator);
    const as = (token?: string): SimClient => {
      const client = new SimClient(simulator, token);
      open.push(client);
      return client;
    };
    return { simulator, client: as(), as };
  };
}
