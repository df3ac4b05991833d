/** From a request to its answer: parameters, log-in, route, node, quorum, privileges, handler. */
import type { IncomingHttpHeaders } from 'node:http';
import { sleep } from '@dc/shared/clock';
import { checkPermission } from '../access/check-permission.ts';
import type { Authenticator } from '../access/authenticate.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { RequestRule } from '../faults/fault-script.ts';
import type { Faults } from '../faults/faults.ts';
import { PveError } from '../http/pve-error.ts';
import type { CallObserver, ObservedCall } from './call-observer.ts';
import { Listed } from './listed.ts';
import { checkParameters, type GivenParameters } from './parameters.ts';
import type { Permission, Route } from './route.ts';
import type { RouteTable } from './route-table.ts';

/** A request as it came in. */
export interface ApiRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** An answer as it goes out. */
export interface ApiAnswer {
  readonly status: number;
  readonly reason: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What answering needs. */
export interface AnswerParts {
  readonly cluster: Cluster;
  readonly authenticator: Authenticator;
  readonly routes: RouteTable;
  readonly observer: CallObserver;
  readonly faults: Faults;
}

const PREFIX = /^\/api2\/(json|extjs)(?=\/|$)/;

/**
 * Answers a request; undefined: the connection is to be cut. Never rejects: a mistake of the simulator is a 500 that
 * says so.
 */
export async function answerRequest(parts: AnswerParts, request: ApiRequest): Promise<ApiAnswer | undefined> {
  const { cluster, faults } = parts;
  const fault = faults.ofRequest(request.method, pathOf(request.url));
  if (fault?.delayMs !== undefined) {
    const { signal } = cluster.closing;
    // Who asked is told nothing more when the simulator closes meanwhile.
    const isOver = await sleep(cluster.clock, fault.delayMs, signal).then(
      () => false,
      () => true,
    );
    if (isOver) return undefined;
  }
  if (fault !== undefined && fault.when !== 'after' && (fault.cut === true || fault.answer !== undefined)) {
    return faultyAnswer(fault, cluster.version.major);
  }
  const answer = await plainAnswer(parts, request, fault);
  const isReplaced = fault?.when === 'after' && (fault.cut === true || fault.answer !== undefined);
  return isReplaced ? faultyAnswer(fault, cluster.version.major) : answer;
}

async function plainAnswer(
  parts: AnswerParts,
  request: ApiRequest,
  fault: RequestRule | undefined,
): Promise<ApiAnswer> {
  const { major } = parts.cluster.version;
  try {
    return { status: 200, reason: 'OK', body: JSON.stringify(await dispatch(parts, request, fault)) };
  } catch (error) {
    if (error instanceof PveError) return errorAnswer(error, major);
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return errorAnswer(PveError.failed(`simulator: ${text}`), major);
  }
}

function faultyAnswer({ cut, answer }: RequestRule, major: number): ApiAnswer | undefined {
  if (cut === true || answer === undefined) return undefined;
  return errorAnswer(new PveError(answer.status, answer.reason), major);
}

/** Writes an error as Proxmox VE does: since 8 its words are in the body too. */
export function errorAnswer({ status, message, errors }: PveError, major: number): ApiAnswer {
  const body = {
    data: null,
    ...(errors === undefined ? {} : { errors }),
    ...(major >= 8 ? { message: `${message}\n` } : {}),
  };
  return { status, reason: message, body: JSON.stringify(body) };
}

async function dispatch(
  parts: AnswerParts,
  request: ApiRequest,
  fault: RequestRule | undefined,
): Promise<unknown> {
  const { cluster, authenticator, routes } = parts;
  const { path, given: query } = readUrl(request.url);
  const found = routes.find(request.method, path);
  const isOpen = found !== undefined && isForAll(permissionOf(found.route, cluster.version.major));
  const authId = isOpen ? '' : authenticator.authenticate(request.method, request.headers);
  if (found === undefined) throw new PveError(501, `Method '${request.method} ${path}' not implemented`);
  const { route, values } = found;
  const given = { ...query, ...readBody(request), ...values };
  checkNode(cluster, values.node);
  const params = checkParameters(route.parameters, given);
  const call = { cluster, authId, params };
  checkPermission(permissionOf(route, cluster.version.major), call);
  if ((route.needsQuorum ?? route.method !== 'GET') && !cluster.isQuorate)
    throw PveError.failed('cluster not ready - no quorum?');
  const result = await observed(parts, { route, path, given }, async () => {
    const data = await route.handle(call);
    return fault?.data === undefined ? data : fault.data;
  });
  return result instanceof Listed ? { data: result.data, total: result.total } : { data: result ?? null };
}

async function observed(
  { observer }: AnswerParts,
  asked: Pick<ObservedCall, 'route' | 'path' | 'given'>,
  handle: () => unknown,
): Promise<unknown> {
  let result: unknown;
  try {
    result = await handle();
  } catch (error) {
    if (error instanceof PveError) observer.observe({ ...asked, status: error.status, data: null });
    throw error;
  }
  observer.observe({
    ...asked,
    status: 200,
    data: result instanceof Listed ? result.data : (result ?? null),
  });
  return result;
}

/** The permission of a route in a version. */
export function permissionOf(route: Route, major: number): Permission {
  return typeof route.permission === 'function' ? route.permission(major) : route.permission;
}

function isForAll(permission: Permission): boolean {
  return 'user' in permission && permission.user === 'world';
}

/** A call about another node is handed to it, and fails as that does. */
function checkNode(cluster: Cluster, name: string | undefined): void {
  if (name === undefined || name === 'localhost') return;
  const node = cluster.nodes.get(name);
  if (node === undefined) {
    // A name with a domain is found by DNS, but the node's certificate does not have it.
    if (name.includes('.'))
      throw new PveError(596, 'tls_process_server_certificate: certificate verify failed');
    throw PveError.failed(
      `hostname lookup '${name}' failed - failed to get address info for: ${name}: Name or service not known`,
    );
  }
  if (!node.isOnline) throw new PveError(595, 'No route to host');
}

/** The path of a request as rules name it; what cannot be read fits no rule. */
function pathOf(url: string): string {
  const [path = ''] = url.split('?');
  return decodeURI(path.replace(PREFIX, ''));
}

function readUrl(url: string): { path: string; given: GivenParameters } {
  const { pathname, searchParams } = new URL(url, 'https://pve');
  const path = pathname.replace(PREFIX, '').replace(/\/+$/, '') || '/';
  if (!PREFIX.test(pathname)) throw new PveError(501, `Method 'GET ${pathname}' not implemented`);
  return { path, given: fromForm(searchParams) };
}

function readBody({ headers, body }: ApiRequest): GivenParameters {
  if (body.length === 0) return {};
  const text = body.toString('utf8');
  if ((headers['content-type'] ?? '').startsWith('application/json')) {
    try {
      return JSON.parse(text) as GivenParameters;
    } catch {
      throw new PveError(400, 'unable to parse JSON');
    }
  }
  return fromForm(new URLSearchParams(text));
}

/** A name that comes more than once is a list. */
function fromForm(form: URLSearchParams): GivenParameters {
  const given: Record<string, unknown> = {};
  for (const name of new Set(form.keys())) {
    const values = form.getAll(name);
    given[name] = values.length === 1 ? values[0] : values;
  }
  return given;
}
