/**
 * Proxmox VE's own `pvesh`: the whole API as root@pam, on the host, with calls for other nodes handed on by itself.
 * https://pve.proxmox.com/pve-docs/pvesh.1.html. One tool for everything, so that what set-up does can be held against
 * the vendor's description of the API, and typed by hand.
 *
 * A call that starts a task waits for it, prints its log, and does not tell by its exit code how the task ended
 * (PVE::RESTEnvironment, fork_worker): the task itself is asked, and whoever made it looks at what it was for.
 */
import { AppError } from '@dc/shared/errors';
import { lastWords, runOrThrow, type Host } from './host.ts';

/** A path below /api2/json as pvesh takes it: not escaped. Only `apiPath` makes them. */
export type ApiPath = string & { readonly __apiPath: true };

/** `apiPath\`/pools/${pool}\``. A value that is no single segment of a path is refused with a RangeError. */
export function apiPath(strings: TemplateStringsArray, ...values: readonly (string | number)[]): ApiPath {
  let path = strings[0] ?? '';
  for (const [index, value] of values.entries()) {
    const segment = String(value);
    if (!/^[^/\s]+$/.test(segment) || segment === '.' || segment === '..')
      throw new RangeError(`${JSON.stringify(segment)} cannot be a part of a path`);
    path += segment + (strings[index + 1] ?? '');
  }
  return path as ApiPath;
}

/** Options of a call, without their dashes. */
export type PveshParameters = Readonly<Record<string, string | number>>;
/** GET, POST, PUT and DELETE, as pvesh calls them. */
export type PveshVerb = 'get' | 'create' | 'set' | 'delete';

/** The command line of a call. */
export function pveshArgv(
  verb: PveshVerb,
  path: ApiPath,
  parameters: PveshParameters = {},
): [string, ...string[]] {
  const options = Object.entries(parameters).flatMap(([name, value]) => [`--${name}`, String(value)]);
  return ['pvesh', verb, path, ...options, '--output-format', 'json'];
}

/** Makes calls on a host. */
export class Pvesh {
  readonly #host: Host;
  readonly #signal: AbortSignal;

  constructor(host: Host, signal: AbortSignal) {
    this.#host = host;
    this.#signal = signal;
  }

  /** What a reading call answers. SETUP_STEP_FAILED with its words where it refuses. */
  async get(path: ApiPath, parameters: PveshParameters = {}): Promise<unknown> {
    const argv = pveshArgv('get', path, parameters);
    return parseJson(await runOrThrow(this.#host, { argv }, this.#signal), argv[2] ?? '');
  }

  /** The same, or null where Proxmox refuses: it is not there. */
  async find(path: ApiPath): Promise<unknown> {
    const result = await this.#host.run({ argv: pveshArgv('get', path) }, this.#signal);
    return result.exitCode === 0 ? parseJson(result.stdout, path) : null;
  }

  /** Changes something; answers what was printed. SETUP_STEP_FAILED where it refuses, or its task did not end well. */
  async change(argv: readonly [string, ...string[]]): Promise<string> {
    const result = await this.#host.run({ argv }, this.#signal);
    const name = argv.slice(0, 3).join(' ');
    if (result.exitCode !== 0) throw new AppError('SETUP_STEP_FAILED', `${name}: ${lastWords(result)}`);
    const upid = /"?(UPID:([^:]+):[^"\s]+)"?\s*$/.exec(result.stdout);
    if (upid !== null) {
      const [, id = '', node = ''] = upid;
      const { exitstatus } = (await this.get(apiPath`/nodes/${node}/tasks/${id}/status`)) as TaskStatus;
      if (exitstatus === 'OK' || exitstatus?.startsWith('WARNINGS') === true) return result.stdout;
      throw new AppError('SETUP_STEP_FAILED', `${name}: ${exitstatus ?? lastWords(result)}`);
    }
    // No task to ask: what stands on stderr is its error then, or a warning.
    if (result.stderr.trim() === '' || /warning/i.test(result.stderr)) return result.stdout;
    throw new AppError('SETUP_STEP_FAILED', `${name}: ${lastWords(result)}`);
  }
}

interface TaskStatus {
  readonly exitstatus?: string;
}

/** The JSON that stands at the end of what was printed. */
export function parseJson(text: string, about: string): unknown {
  try {
    return JSON.parse(text.trim());
  } catch (error) {
    throw new AppError('SETUP_STEP_FAILED', `pvesh answered no JSON about ${about}.`, { cause: error });
  }
}
