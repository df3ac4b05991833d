/** `dc-coordinator admin key …`: announces a new key, says where a rotation stands, deletes what counts no more. */
import { InvalidArgumentError, type Command } from 'commander';
import type { Clock } from '@dc/shared/clock';
import type { Random } from '@dc/shared/random';
import type { CoordinatorConfig } from '../config/config.ts';
import { CoordinatorKeys } from './coordinator-keys.ts';
import { announceKey, deleteRetiredKeys, stageOf } from './rotate-key.ts';

const HOUR_MS = 3_600_000;
const HOURS_MAX = 87_600;
/** Time enough for every agent that is on line to hear of it. */
const START_IN_H = 1;
const OVERLAP_H = 168;

/** What the commands work with. */
export interface KeyCommandParts {
  clock: Clock;
  random: Random;
  print: (line: string) => void;
  loadConfig: (file: string) => CoordinatorConfig;
  /** Adds the option that names the configuration. */
  addConfig: (command: Command) => Command;
}

interface RotateOptions {
  config: string;
  startIn: number;
  overlap: number;
}

/** Adds them below `admin`. */
export function addKeyCommands(admin: Command, parts: KeyCommandParts): void {
  const { clock, print, loadConfig, addConfig } = parts;
  const key = admin.command('key').description('The key that signs orders and receipts, which agents pin.');
  addConfig(key.command('status'))
    .description('Says which key signs, and where each rotation stands.')
    .action(({ config }: { config: string }) => {
      for (const line of describeKeys(loadConfig(config).keyFile, parts)) print(line);
    });
  addConfig(key.command('rotate'))
    .description(
      'Makes a new key and announces it, signed by the old one. Agents follow by themselves, also those that are off.',
    )
    .option('--start-in <hours>', 'when the new key begins to sign', readHours, START_IN_H)
    .option('--overlap <hours>', 'how long the old one counts beside it', readHours, OVERLAP_H)
    .action(({ config, startIn, overlap }: RotateOptions) => {
      const { keyFile, environment } = loadConfig(config);
      announceKey(
        { environment, keyFile, startInMs: startIn * HOUR_MS, overlapMs: overlap * HOUR_MS },
        parts,
      );
      for (const line of describeKeys(keyFile, parts)) print(line);
      print('Back up the key files and the .rotations file beside them now: the database holds neither.');
    });
  addConfig(key.command('retire'))
    .description('Deletes the files of keys that count no more. Their receipts stay good.')
    .action(({ config }: { config: string }) => {
      const deleted = deleteRetiredKeys(loadConfig(config).keyFile, clock);
      for (const name of deleted) print(`deleted the file of ${name}`);
      if (deleted.length === 0) print('Every key that is there counts.');
    });
}

function describeKeys(keyFile: string, ports: Pick<KeyCommandParts, 'clock' | 'random'>): string[] {
  const keys = new CoordinatorKeys(keyFile, ports);
  const time = (seconds: number): string => new Date(seconds * 1000).toISOString();
  return [
    `${keys.current.publicKey} signs now.`,
    ...keys.rotations.map((rotation) => {
      const stage = stageOf(rotation, ports.clock.now());
      const { iss, next, starts, ends } = rotation;
      return `${iss} → ${next}: ${stage}; the new one signs from ${time(starts)} on, the old one counts until ${time(ends)}.`;
    }),
  ];
}

function readHours(text: string): number {
  const hours = Number(text);
  if (!/^\d{1,5}(\.\d{1,3})?$/.test(text) || hours > HOURS_MAX)
    throw new InvalidArgumentError('Hours are a number such as 24 or 0.5.');
  return hours;
}
