/**
 * The settings of the agent: RawConfig is what may stand in the TOML file (one description a setting, which the
 * problems, the template and the documentation show), Config is what the agent works with.
 */
import { Type, type Static } from 'typebox';
import { PUBLIC_KEY_PATTERN } from '@dc/shared/crypto/public-key';
import { UUID_V7_PATTERN } from '@dc/shared/ids';
import { DRIVERS } from '../provisioners/registry.ts';

const closed = { additionalProperties: false };
const KEY_EXAMPLE = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** One optional table for each driver, with the options that the driver itself declares. */
const driverTables = Object.fromEntries(
  Object.entries(DRIVERS).map(([kind, driver]) => [kind, Type.Optional(driver.optionsSchema)]),
);

export const RawConfigSchema = Type.Object(
  {
    coordinator: Type.Object(
      {
        url: Type.String({
          description: 'where the coordinator answers; https, or http on loopback',
          examples: ['https://coordinator.example.net'],
          minLength: 1,
        }),
        public_keys: Type.Array(Type.String({ pattern: PUBLIC_KEY_PATTERN }), {
          description:
            'the coordinator’s keys, 64 hex digits each; orders signed by any other key are refused',
          examples: [[KEY_EXAMPLE]],
          minItems: 1,
          maxItems: 4,
        }),
      },
      closed,
    ),
    agent: Type.Object(
      {
        environment: Type.String({
          description: 'the installation that this agent belongs to; part of every seal and record',
          examples: ['prod'],
          pattern: '^[A-Za-z0-9-]{1,64}$',
        }),
        provider_pubkey: Type.String({
          description: 'the provider’s public key, 64 hex digits',
          examples: [KEY_EXAMPLE],
          pattern: PUBLIC_KEY_PATTERN,
        }),
        pool_id: Type.String({
          description: 'the pool that this agent serves',
          examples: ['01890000-0000-7000-8000-000000000000'],
          pattern: UUID_V7_PATTERN,
        }),
        state_dir: Type.String({
          description: 'the journal and the drivers’ own files; keep it, and never share it',
          default: '/var/lib/dc-agent',
          minLength: 1,
        }),
        key_dir: Type.String({
          description: 'the folder of agent.key and seal.key; readable by the agent’s user only',
          default: '/etc/dc-agent/keys',
          minLength: 1,
        }),
      },
      closed,
    ),
    provisioner: Type.Object(
      {
        kind: Type.Enum(Object.keys(DRIVERS), {
          description: 'the backend that instances run on',
          default: 'local',
        }),
        ...driverTables,
      },
      closed,
    ),
    limits: Type.Object(
      {
        parallel: Type.Integer({
          description: 'how many contracts are worked on at once',
          default: 8,
          minimum: 1,
          maximum: 100,
        }),
        drain_s: Type.Integer({
          description: 'how long running work may go on after SIGTERM, in seconds',
          default: 30,
          minimum: 0,
          maximum: 600,
        }),
        ssh_timeout_s: Type.Integer({
          description: 'how long a new instance may take until its SSH server answers, in seconds',
          default: 300,
          minimum: 1,
          maximum: 3_600,
        }),
        disk_free_mb: Type.Integer({
          description: 'no new instances are made while the state directory has less than this free, in MB',
          default: 200,
          minimum: 0,
          maximum: 1_000_000,
        }),
        destructions_per_hour: Type.Integer({
          description:
            'how many instances orders may destroy within an hour, or a tenth of those held if that is more, before ' +
            'the agent stops and waits for dc-agent confirm; raise it where many short rentals end',
          default: 3,
          minimum: 3,
          maximum: 1_000_000,
        }),
        history_days: Type.Integer({
          description:
            'how long the journal keeps how contracts came to their end, in days; tombstones and records stay',
          default: 90,
          minimum: 7,
          maximum: 3_650,
        }),
      },
      closed,
    ),
    log: Type.Object(
      {
        level: Type.Enum([...LOG_LEVELS], {
          description: 'what is written to standard output',
          default: 'info',
        }),
      },
      closed,
    ),
  },
  closed,
);
export type RawConfig = Static<typeof RawConfigSchema>;

/** The settings after loading: validated, with defaults, paths absolute, times in milliseconds. */
export interface Config {
  readonly coordinator: { readonly url: string; readonly publicKeys: readonly string[] };
  readonly environment: string;
  readonly providerKey: string;
  readonly poolId: string;
  readonly stateDir: string;
  readonly keyDir: string;
  readonly provisioner: { readonly kind: string; readonly options: object };
  readonly limits: {
    readonly parallel: number;
    readonly drainMs: number;
    readonly sshTimeoutMs: number;
    readonly diskFreeBytes: number;
    readonly destructionsPerHour: number;
    readonly historyMs: number;
  };
  readonly logLevel: (typeof LOG_LEVELS)[number];
}
