/** From a request to its answer: parameters, log-in, route, node, quorum, privileges, handler. */
import type { IncomingHttpHeaders } from 'node:http';
import { checkPermission } from '../access/check-permission.ts';
import type { Authenticator } from '../access/authenticate.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { PveError } from '../http/pve-error.ts';
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

/** A call as watchers see it: what was asked of which route, and how it ended. */
export interface ObservedCall {
  readonly route: Route;
  readonly path: string;
  readonly given: GivenParameters;
  readonly status: number;
  readonly data: unknown;
}

/** What answering needs. */
export interface AnswerParts {
  readonly cluster: Cluster;
  readonly authenticator: Authenticator;
  readonly routes: RouteTable;
  /** Sees each call that reached its route; may throw an error to be answered instead. */
  readonly observe: (call: ObservedCall) => void;
}

const PREFIX = /^\/api2\/(json|extjs)(?=\/|$)/;

/** Answers a request. Never rejects: a mistake of the simulator is a 500 that says so. */
export async function answerRequest(parts: AnswerParts, request: ApiRequest): Promise<ApiAnswer> {
  const { major } = parts.cluster.version;
  try {
    return { status: 200, reason: 'OK', body: JSON.stringify(await dispatch(parts, request)) };
  } catch (error) {
    if (error instanceof PveError) return errorAnswer(error, major);
    return errorAnswer(
      PveError.failed(
        `simulator: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      ),
      major,
    );
  }
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

async function dispatch(parts: AnswerParts, request: ApiRequest): Promise<unknown> {
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
  const result = await observed(parts, { route, path, given }, () => route.handle(call));
  return result instanceof Listed ? { data: result.data, total: result.total } : { data: result ?? null };
}

async function observed(
  { observe }: AnswerParts,
  asked: Pick<ObservedCall, 'route' | 'path' | 'given'>,
  handle: () => unknown,
): Promise<unknown> {
  try {
    const data = await handle();
    observe({ ...asked, status: 200, data: data instanceof Listed ? data.data : (data ?? null) });
    return data;
  } catch (error) {
    if (error instanceof PveError) observe({ ...asked, status: error.status, data: null });
    throw error;
  }
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
