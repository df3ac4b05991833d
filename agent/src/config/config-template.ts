/**
 * Writes the agent's configuration file: every setting with its comment from the schema, the ones that set-up
 * decides filled in, the others as comments that show their defaults. Pure.
 */
import { RawConfigSchema } from './config-schema.ts';

/** What set-up decides. */
export interface TemplateValues {
  readonly coordinator: { readonly url: string; readonly public_keys: readonly string[] };
  readonly agent: {
    readonly environment: string;
    readonly provider_pubkey: string;
    readonly pool_id: string;
    readonly state_dir: string;
    readonly key_dir: string;
  };
  readonly provisioner: {
    readonly kind: string;
    /** The driver's own; those that are left out are shown as comments. */
    readonly options?: Readonly<Record<string, unknown>>;
  };
}

interface Shape {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Shape>>;
}

/** The text of dc-agent.toml. Loading it gives exactly these values and the defaults for everything else. */
export function renderConfig(values: TemplateValues): string {
  const tables = (RawConfigSchema as Shape).properties ?? {};
  const given = values as unknown as Record<string, Record<string, unknown> | undefined>;
  const parts = Object.entries(tables).map(([name, table]) => renderTable(name, table, given[name] ?? {}));
  const { kind, options = {} } = values.provisioner;
  const table = tables['provisioner']?.properties?.[kind];
  if (table !== undefined) parts.push(renderOptions(`provisioner.${kind}`, table, options));
  return ['# Configuration of dc-agent. No secrets in here: those are in key_dir.\n', ...parts].join('\n');
}

function renderTable(name: string, table: Shape, given: Record<string, unknown>): string {
  const lines = [`[${name}]`];
  for (const [key, setting] of Object.entries(table.properties ?? {})) {
    if (setting.type === 'object') continue; // The drivers' tables; the one in use stands at the end.
    lines.push(...comment(setting));
    const value = given[key];
    if (value !== undefined) lines.push(`${key} = ${toToml(value)}`);
    else lines.push(`# ${key} = ${toToml(setting.default)}`);
  }
  return `${lines.join('\n')}\n`;
}

/** A driver's options: those that set-up has decided, and the names and meanings of the others. */
function renderOptions(name: string, options: Shape, given: Readonly<Record<string, unknown>>): string {
  const lines = [`[${name}]`];
  for (const [key, setting] of Object.entries(options.properties ?? {})) {
    const unset = setting.type === 'object' ? `# [${name}.${key}]` : `# ${key} =`;
    lines.push(...comment(setting), given[key] === undefined ? unset : `${key} = ${toToml(given[key])}`);
  }
  return `${lines.join('\n')}\n`;
}

const comment = ({ description }: Shape): string[] =>
  description === undefined ? [] : [`# ${description.charAt(0).toUpperCase()}${description.slice(1)}`];

/** A value as TOML writes it. */
export function toToml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(toToml).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).map(([key, each]) => `${JSON.stringify(key)} = ${toToml(each)}`);
    return `{ ${pairs.join(', ')} }`;
  }
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}
