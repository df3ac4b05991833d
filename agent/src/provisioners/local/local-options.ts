/** What the configuration may say about the `local` driver, and what follows from it. */
import { isIPv4 } from 'node:net';
import { Type, type Static } from 'typebox';
import type { FieldProblem } from '@dc/shared/errors';

const Port = Type.Integer({ minimum: 1, maximum: 65_535 });
const Amount = Type.Integer({ minimum: 0, maximum: 1_000_000_000 });

/** The options as they stand in the TOML file. */
export const LocalOptionsSchema = Type.Object(
  {
    bind: Type.Optional(
      Type.String({ description: 'The loopback address to listen on. Default 127.0.0.1.' }),
    ),
    port_first: Type.Optional(Port),
    port_last: Type.Optional(Port),
    user: Type.Optional(
      Type.String({ pattern: '^[a-z][a-z0-9_-]{0,31}$', description: 'Who the renter is. Default renter.' }),
    ),
    capacity: Type.Optional(
      Type.Object(
        {
          cpu: Type.Optional(Amount),
          memory_mb: Type.Optional(Amount),
          disk_gb: Type.Optional(Amount),
          instances: Type.Optional(Amount),
        },
        { additionalProperties: false, description: 'What the driver claims to have; nothing is set aside.' },
      ),
    ),
  },
  { additionalProperties: false },
);

export type LocalOptions = Static<typeof LocalOptionsSchema>;

/** The options with every gap filled. */
export interface LocalSettings {
  readonly bind: string;
  /** Null: the operating system chooses the port. */
  readonly ports: { readonly first: number; readonly last: number } | null;
  readonly user: string;
  readonly capacity: { cpu: number; memoryMb: number; diskGb: number; instances: number };
}

/** What is wrong with the options beyond their types. Empty when nothing is. */
export function problemsOfLocalOptions(options: LocalOptions): FieldProblem[] {
  const problems: FieldProblem[] = [];
  if (options.bind !== undefined && !isLoopback(options.bind)) {
    const detail =
      'the local driver gives a shell on this machine, and listens on loopback only: 127.0.0.1 or ::1';
    problems.push({ pointer: '/bind', detail });
  }
  const { port_first: first, port_last: last } = options;
  if ((first === undefined) !== (last === undefined)) {
    problems.push({ pointer: '/port_first', detail: 'port_first and port_last go together' });
  } else if (first !== undefined && last !== undefined && first > last) {
    problems.push({ pointer: '/port_last', detail: 'port_last is below port_first' });
  }
  return problems;
}

/** Fills the gaps of options without problems. */
export function settingsOf(options: LocalOptions): LocalSettings {
  const { port_first: first, port_last: last, capacity = {} } = options;
  return {
    bind: options.bind ?? '127.0.0.1',
    ports: first === undefined || last === undefined ? null : { first, last },
    user: options.user ?? 'renter',
    // A demonstration shall not end at the size of a laptop; the number of servers is what costs something.
    capacity: {
      cpu: capacity.cpu ?? 1_024,
      memoryMb: capacity.memory_mb ?? 1_048_576,
      diskGb: capacity.disk_gb ?? 16_384,
      instances: capacity.instances ?? 512,
    },
  };
}

/** Names are refused too: what `localhost` means is decided elsewhere. */
function isLoopback(address: string): boolean {
  return address === '::1' || (isIPv4(address) && address.startsWith('127.'));
}
