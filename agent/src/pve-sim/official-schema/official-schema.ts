/**
 * The vendor's own description of the API, as its API viewer publishes it (`[{path, children, info}]`), and checks of
 * requests and answers against it. The file is not part of this repository; where there is one, nothing that the
 * simulator takes or says may contradict it.
 */
import { readFile } from 'node:fs/promises';
import { checkValue, type Schema } from './check-value.ts';

/** What the description says of one call. */
export interface OfficialCall {
  readonly parameters: { readonly properties?: Readonly<Record<string, Schema>> };
  readonly returns?: Schema;
  readonly permissions?: { readonly check?: unknown; readonly user?: string; readonly description?: string };
}

interface Node {
  readonly path: string;
  readonly info?: Readonly<Record<string, OfficialCall>>;
  readonly children?: readonly Node[];
}

const VM_NUMBERS = ['cpu', 'disk', 'diskread', 'diskwrite', 'mem', 'netin', 'netout', 'template'];

/**
 * What real servers answer beside what their description knows of, by path: lists that are described as indexes only,
 * and fields that a later description has while the earlier version sends them too. Everything else that a
 * description does not know is a finding.
 */
const UNDOCUMENTED: Readonly<Record<string, readonly string[]>> = {
  'GET /nodes': ['id', 'type', 'disk', 'maxdisk'],
  'GET /nodes/{node}/network': ['*'],
  'GET /nodes/{node}/tasks/{upid}/status': ['pstart', 'tokenid'],
  'GET /nodes/{node}/qemu': VM_NUMBERS,
  'GET /nodes/{node}/qemu/{vmid}/config': ['meta', 'parent'],
  'GET /nodes/{node}/qemu/{vmid}/snapshot': ['digest', 'running'],
  'GET /nodes/{node}/qemu/{vmid}/status/current': VM_NUMBERS,
  'GET /nodes/{node}/storage/{storage}/content': ['content'],
  'GET /cluster/resources': [...VM_NUMBERS, 'sdn', 'shared', 'tags'],
  'GET /pools': ['comment'],
  'GET /storage': ['content', 'digest', 'disable', 'nodes', 'path', 'shared', 'type'],
  'GET /access/permissions': ['*'],
};

export class OfficialSchema {
  readonly #calls: ReadonlyMap<string, OfficialCall>;

  constructor(tree: readonly Node[]) {
    const calls = new Map<string, OfficialCall>();
    const add = (nodes: readonly Node[]): void => {
      for (const { path, info = {}, children = [] } of nodes) {
        for (const [method, call] of Object.entries(info)) calls.set(`${method} ${path}`, call);
        add(children);
      }
    };
    add(tree);
    this.#calls = calls;
  }

  /** Reads a description from a file. */
  static async read(file: string): Promise<OfficialSchema> {
    return new OfficialSchema(JSON.parse(await readFile(file, 'utf8')) as Node[]);
  }

  /** The call with a method and path template; undefined where there is none. */
  call(method: string, path: string): OfficialCall | undefined {
    return this.#calls.get(`${method} ${path}`);
  }

  /** What is wrong with the parameters of a call. */
  requestProblems(method: string, path: string, given: Readonly<Record<string, unknown>>): string[] {
    const call = this.call(method, path);
    if (call === undefined) return [`${method} ${path} is not a call of this version`];
    const properties = call.parameters.properties ?? {};
    return checkValue({ type: 'object', properties, additionalProperties: 0 }, given, `${method} ${path}`);
  }

  /** What is wrong with the data of an answer. */
  answerProblems(method: string, path: string, data: unknown): string[] {
    const call = this.call(method, path);
    if (call === undefined) return [`${method} ${path} is not a call of this version`];
    if (call.returns === undefined) return [];
    const known = UNDOCUMENTED[`${method} ${path}`] ?? [];
    const problems = checkValue(call.returns, data, `answer to ${method} ${path}`, {
      isStrict: !known.includes('*'),
    });
    return problems.filter((problem) => !known.some((key) => problem.endsWith(`.${key}: is not known`)));
  }
}
