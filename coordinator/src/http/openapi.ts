/**
 * The OpenAPI 3.1 document of the coordinator, made from its routes. OpenAPI 3.1 takes JSON Schema as it is, and
 * TypeBox schemas are JSON Schema, so this is all that is needed of a generator.
 */
import { createHash } from 'node:crypto';
import { Type } from 'typebox';
import { ERRORS, statusOf, type ErrorCode } from '@dc/shared/errors';
import { Problem } from '@dc/shared/wire/schema-parts';
import { errorsOf } from './common-errors.ts';
import { permissionsOf } from './permissions.ts';
import { streamRoute, type Route } from './route.ts';
import { mayLeaveOut } from './validate-input.ts';

type Json = Record<string, unknown>;

const JSON_TYPE = 'application/json';
const PROBLEM_REF = { $ref: '#/components/schemas/Problem' };

/** GET /api/v1/openapi.json for `routes` and itself. The text is made when it is first asked for. */
export function openApiRoute(routes: readonly Route[]): Route {
  let text: string | undefined;
  let etag = '';
  const route: Route = streamRoute({
    method: 'GET',
    url: '/api/v1/openapi.json',
    permission: 'public',
    summary: 'This document.',
    schema: { response: Type.Object({}, { additionalProperties: true }) },
    produces: JSON_TYPE,
    errors: [],
    async handle({ raw: { request, reply } }) {
      if (text === undefined) {
        text = JSON.stringify(buildOpenApi([...routes, route]));
        etag = `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`;
      }
      void reply.headers({ 'cache-control': 'public, max-age=300', etag });
      if (request.headers['if-none-match'] === etag) await reply.code(304).send();
      else await reply.type(`${JSON_TYPE}; charset=utf-8`).send(text);
    },
  });
  return route;
}

/** The document. Pages and what they load are not part of the API. */
export function buildOpenApi(routes: readonly Route[]): Json {
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    if (route.kind === 'stream' && !isApi(route)) continue;
    const path = route.url.replaceAll(/:([a-z_]+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route, path) };
  }
  const { $id: _id, ...problem } = Problem as unknown as Json;
  return {
    openapi: '3.1.0',
    info: {
      title: 'dc-coordinator',
      version: '1',
      description:
        'Requests are signed (RFC 9421, label `dc`, Ed25519) or carry a session cookie; `x-permission` names who may ' +
        'call an operation. Errors are RFC 9457 problem documents with a stable `code` and a `remedy`.',
    },
    paths,
    components: {
      schemas: { Problem: problem },
      securitySchemes: {
        signature: {
          type: 'apiKey',
          in: 'header',
          name: 'Signature',
          description: 'HTTP Message Signatures (RFC 9421) with Ed25519, in Signature-Input and Signature.',
        },
        session: { type: 'apiKey', in: 'cookie', name: '__Host-dc_session' },
      },
    },
  };
}

/** Whether the route is for programs: files that the API hands out are part of it, whatever their type. */
const isApi = ({ url }: Route): boolean => url.startsWith('/api/') || url.startsWith('/health/');

function operationOf(route: Route, path: string): Json {
  const permissions = permissionsOf(route);
  const { params, query, body } = route.schema;
  const parameters = [...parametersOf('path', params), ...parametersOf('query', query)];
  if (route.kind === 'write' && route.idempotency !== 'none') {
    parameters.push({
      name: 'Idempotency-Key',
      in: 'header',
      required: route.idempotency === 'required',
      description: 'The same key with the same request gives the first answer again, for 24 h.',
      schema: { type: 'string', minLength: 1, maxLength: 255 },
    });
  }
  if (route.kind === 'stream' && route.resumption !== undefined) {
    parameters.push({
      name: 'Last-Event-ID',
      in: 'header',
      required: false,
      description: route.resumption,
      schema: { type: 'string', maxLength: 64 },
    });
  }
  return {
    operationId: `${route.method.toLowerCase()}${path.replaceAll(/[^A-Za-z0-9]+(\w)?/g, (_, letter: string | undefined) => (letter ?? '').toUpperCase())}`,
    summary: route.summary,
    description: `Who may call: ${permissions.join(' or ')}.`,
    'x-permission': permissions,
    security: permissions.includes('public') ? [{}, ...securityOf(permissions)] : securityOf(permissions),
    parameters,
    ...(body === undefined
      ? {}
      : { requestBody: { required: !mayLeaveOut(body), content: { [JSON_TYPE]: { schema: body } } } }),
    responses: { ...successOf(route), ...problemsOf(errorsOf(route)) },
  };
}

function securityOf(permissions: readonly string[]): Json[] {
  const isForKeys = permissions.every((name) => name === 'key' || name.startsWith('agent:'));
  return isForKeys ? [{ signature: [] }] : [{ signature: [] }, { session: [] }];
}

function parametersOf(place: 'path' | 'query', schema: unknown): Json[] {
  const { properties = {}, required = [] } = (schema ?? {}) as { properties?: Json; required?: string[] };
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: place,
    required: required.includes(name),
    schema: property,
  }));
}

function successOf(route: Route): Json {
  const status = String(route.successStatus ?? 200);
  if (status === '204') return { 204: { description: 'Done.' } };
  const type = route.kind === 'stream' ? route.produces : JSON_TYPE;
  return { [status]: { description: 'Done.', content: { [type]: { schema: route.schema.response } } } };
}

/** One answer for each status, listing its codes. */
function problemsOf(codes: readonly ErrorCode[]): Json {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) byStatus.set(statusOf(code), [...(byStatus.get(statusOf(code)) ?? []), code]);
  return Object.fromEntries(
    [...byStatus].map(([status, own]) => [
      String(status),
      {
        description: own.map((code) => `\`${code}\`: ${ERRORS[code].title}`).join('\n\n'),
        content: { 'application/problem+json': { schema: PROBLEM_REF } },
        'x-codes': own,
      },
    ]),
  );
}
