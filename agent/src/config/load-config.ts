/**
 * Reads the agent's TOML file: parse, check against the schema, then what no schema can say. All problems are shown
 * at once. `dc-agent doctor` runs the same code.
 */
import { readFileSync, statSync } from 'node:fs';
import { checkConfig, configError, exampleLine, type ConfigProblem } from '@dc/shared/config/check-config';
import { parsePublicKey } from '@dc/shared/crypto/public-key';
import { AppError } from '@dc/shared/errors';
import { DRIVERS } from '../provisioners/registry.ts';
import { RawConfigSchema, type Config, type RawConfig } from './config-schema.ts';
import { resolveFrom } from './paths.ts';

const WRITABLE_BY_OTHERS = 0o022;

/**
 * Loads the configuration. Throws CONFIG_MISSING, CONFIG_INVALID with every problem in its message, or
 * KEY_FILE_UNSAFE where others could put a key of theirs into the file.
 */
export async function loadConfig(file: string): Promise<Config> {
  const text = readConfigFile(file);
  return checkRawConfig(await parseToml(text, file), file);
}

/** Checks what was parsed. Exported for the set-up, which checks what it is about to write. */
export function checkRawConfig(parsed: unknown, file: string): Config {
  const { value, problems } = checkConfig(RawConfigSchema, parsed, { file });
  if (value === null) throw configError(problems);
  const more = findProblems(value, file);
  if (more.length > 0) throw configError(more);
  return toConfig(value, file);
}

/** Parses TOML. CONFIG_INVALID with the place of the mistake. */
export async function parseToml(text: string, file: string): Promise<unknown> {
  const { parse, TomlError } = await import('smol-toml');
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [what = ''] = error.message.replace(/^Invalid TOML document: /, '').split('\n');
    throw new AppError('CONFIG_INVALID', `${file}, line ${String(error.line)}: ${what}.`, { cause: error });
  }
}

function readConfigFile(file: string): string {
  try {
    if ((statSync(file).mode & WRITABLE_BY_OTHERS) !== 0) {
      const detail = `Other users can change ${file}, and with it whose orders this agent obeys.`;
      throw new AppError('KEY_FILE_UNSAFE', detail, { remedy: `Run: chmod go-w ${file}` });
    }
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof AppError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new AppError('CONFIG_MISSING', `There is no configuration file ${file}.`);
    throw new AppError('CONFIG_INVALID', `${file} cannot be read (${code ?? 'unknown'}).`, { cause: error });
  }
}

/** What is wrong beyond the schema. */
function findProblems(raw: RawConfig, file: string): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const add = (key: string, found: string, expected: string, example: unknown = null): void => {
    problems.push({
      file,
      key,
      found,
      expected,
      example: example === null ? null : exampleLine(key, example),
    });
  };
  const { url, public_keys: publicKeys } = raw.coordinator;
  const urlProblem = findUrlProblem(url);
  if (urlProblem !== null) {
    add('coordinator.url', JSON.stringify(url), urlProblem, 'https://coordinator.example.net');
  }
  const keys = publicKeys.map((key, index) => [`coordinator.public_keys[${String(index)}]`, key] as const);
  for (const [name, key] of [...keys, ['agent.provider_pubkey', raw.agent.provider_pubkey] as const]) {
    if (!isUsableKey(key))
      add(name, JSON.stringify(key), 'a usable Ed25519 public key, copied from the set-up');
  }
  const { kind } = raw.provisioner;
  const options = optionsOf(raw);
  for (const { pointer, detail } of DRIVERS[kind]?.problemsOf(options) ?? []) {
    const member = pointer.slice(1).replaceAll('/', '.');
    add(`provisioner.${kind}.${member}`, JSON.stringify(at(options, pointer)) ?? 'nothing', detail);
  }
  return problems;
}

/** Names that stand in documentation and that nobody's coordinator has (RFC 2606). */
const PLACEHOLDER = /(^|\.)(example(\.(com|net|org))?|invalid|test)$|[<>{}]|change-?me|your-/i;

function findUrlProblem(text: string): string | null {
  const url = URL.parse(text);
  if (url === null) return 'an address with its scheme';
  if (PLACEHOLDER.test(url.hostname) || PLACEHOLDER.test(text)) {
    return 'the address of your coordinator, in place of this placeholder';
  }
  if (url.username !== '' || url.password !== '') return 'an address without a user or password';
  if (url.search !== '' || url.hash !== '') return 'an address without a query or fragment';
  if (url.protocol === 'https:') return null;
  if (url.protocol === 'http:' && isLoopback(url.hostname)) return null;
  return 'https (http only for a coordinator on this machine)';
}

/** Whether a URL's host is this machine without asking anybody. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

function isUsableKey(key: string): boolean {
  try {
    parsePublicKey(key);
    return true;
  } catch {
    return false; // Why is said in one way for all of them: it was not copied from anywhere.
  }
}

const optionsOf = (raw: RawConfig): object =>
  ((raw.provisioner as Record<string, unknown>)[raw.provisioner.kind] as object | undefined) ?? {};

const at = (options: object, pointer: string): unknown =>
  pointer
    .slice(1)
    .split('/')
    .reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], options);

function toConfig(raw: RawConfig, file: string): Config {
  return {
    coordinator: { url: raw.coordinator.url.replace(/\/+$/, ''), publicKeys: raw.coordinator.public_keys },
    environment: raw.agent.environment,
    providerKey: raw.agent.provider_pubkey,
    poolId: raw.agent.pool_id,
    stateDir: resolveFrom(file, raw.agent.state_dir),
    keyDir: resolveFrom(file, raw.agent.key_dir),
    provisioner: { kind: raw.provisioner.kind, options: optionsOf(raw) },
    limits: {
      parallel: raw.limits.parallel,
      drainMs: raw.limits.drain_s * 1000,
      sshTimeoutMs: raw.limits.ssh_timeout_s * 1000,
      diskFreeBytes: raw.limits.disk_free_mb * 1_000_000,
      destructionsPerHour: raw.limits.destructions_per_hour,
      historyMs: raw.limits.history_days * 86_400_000,
    },
    logLevel: raw.log.level,
  };
}
