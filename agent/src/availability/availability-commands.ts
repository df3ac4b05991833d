/** `dc-agent drain` and `dc-agent maintenance`: the operator says that no new work shall come. */
import { AppError } from '@dc/shared/errors';
import {
  flagOption,
  textOption,
  type Command,
  type CommandInput,
  type CommandWorld,
} from '../lib/command.ts';
import { EXIT } from '../lib/exit-code.ts';
import type { AvailabilityChange } from './availability.ts';
import { parseDuration } from './parse-duration.ts';

/** Longer than that is draining, or another provider. */
const MAINTENANCE_MS_MAX = 30 * 24 * 3_600_000;

const STAYS =
  'Instances that are there keep running, and their renters see the announcement. What was begun goes on, and ' +
  'extensions, resets and releases too. It outlives restarts, counts as announced in the provider’s history, and is ' +
  'signed as evidence. Works beside a running agent or without one.';

export const drainCommand: Command = {
  name: 'drain',
  summary: 'take no new work, until told otherwise',
  description: `Nothing new is sold from this agent from now on. ${STAYS}`,
  options: [{ flags: '--off', description: 'take new work again' }],
  async run(input, world) {
    const isOff = flagOption(input, 'off');
    const changed = await change(input, world, { draining: !isOff });
    const words = isOff
      ? 'The agent takes new work.'
      : 'The agent takes no new work until dc-agent drain --off.';
    world.print(changed === 0 ? `Nothing to change. ${words}` : words);
    return EXIT.ok;
  },
};

export const startMaintenanceCommand: Command = {
  name: 'maintenance start',
  summary: 'take no new work for a while, and say until when',
  description: `Nothing new is sold from this agent until the time is over. ${STAYS}`,
  options: [{ flags: '--for <duration>', description: 'how long, as 90m, 2h or 1d; 30d at most' }],
  async run(input, world) {
    const said = textOption(input, 'for');
    const durationMs = said === null ? null : parseDuration(said);
    if (durationMs === null || durationMs > MAINTENANCE_MS_MAX) {
      throw new AppError('COMMAND_USAGE', 'How long the maintenance takes is not said, or cannot be read.', {
        remedy: 'Say it like this: dc-agent maintenance start --for 2h (s, m, h or d; 30d at most).',
      });
    }
    const until = new Date(Math.round(world.clock.now()) + durationMs).toISOString();
    await change(input, world, { maintenanceUntil: until });
    world.print(`Maintenance until ${until}. It ends by itself, or with dc-agent maintenance end.`);
    return EXIT.ok;
  },
};

export const endMaintenanceCommand: Command = {
  name: 'maintenance end',
  summary: 'end the maintenance before its time',
  async run(input, world) {
    const changed = await change(input, world, { maintenanceUntil: null });
    world.print(changed === 0 ? 'There is no maintenance.' : 'The maintenance is over.');
    return EXIT.ok;
  },
};

/** Answers 1, or 0 where it already was so. */
async function change(input: CommandInput, world: CommandWorld, wanted: AvailabilityChange): Promise<number> {
  const { loadConfig } = await import('../config/load-config.ts');
  const { changeJournal } = await import('../control/change-journal.ts');
  const { loadKeys } = await import('../config/key-files.ts');
  const { changeAvailability } = await import('./availability.ts');
  const config = await loadConfig(input.configFile);
  const { draining, maintenanceUntil } = wanted;
  const request = {
    command: 'availability' as const,
    ...(draining === undefined ? {} : { draining }),
    ...(maintenanceUntil === undefined ? {} : { maintenance_until: maintenanceUntil }),
  };
  return changeJournal(config, world, request, (journal) => {
    const { agentKey } = loadKeys(config.keyDir);
    const { environment } = config;
    return changeAvailability({ journal, clock: world.clock, agentKey, environment }, wanted);
  });
}
