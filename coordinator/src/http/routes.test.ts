/** Every route of the coordinator, as it is wired: what a slice may forget, this does not. */
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/schema';
import { ERRORS } from '@dc/shared/errors';
import { AGENT_PERMISSIONS } from '@dc/shared/delegation/delegation';
import { beforeAll, describe, expect, it } from 'vitest';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import { systemRandom } from '../lib/system-random.ts';
import { testConfig } from '../testing/test-config.ts';
import { createCoordinator } from '../wiring.ts';
import { permissionsOf } from './permissions.ts';
import type { Route } from './route.ts';

const PERMISSIONS = new Set<string>([
  'public',
  'key',
  'account',
  'provider',
  'admin',
  ...AGENT_PERMISSIONS.map((name) => `agent:${name}`),
]);

let routes: readonly Route[];
beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dc-routes-test-'));
  const parts = {
    clock: new ManualClock(),
    random: systemRandom,
    log: pino({ level: 'silent' }),
    version: '0',
  };
  const coordinator = await createCoordinator(testConfig(folder), parts);
  ({ routes } = coordinator);
  await coordinator.stop(0);
  rmSync(folder, { recursive: true });
});

/** The names of the routes for which `isWrong` finds something, and what. */
function offenders(isWrong: (route: Route) => unknown[]): string[] {
  return routes.flatMap((route) =>
    isWrong(route).map((what) => `${route.method} ${route.url}: ${String(what)}`),
  );
}

/** Where an object in a schema takes members that it does not name. */
function openObjects(schema: unknown, path = ''): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  if (Array.isArray(schema))
    return schema.flatMap((item, index) => openObjects(item, `${path}/${String(index)}`));
  const { type, properties, additionalProperties } = schema as Record<string, unknown>;
  const isOpen = type === 'object' && properties !== undefined && additionalProperties !== false;
  const inner = Object.entries(schema).flatMap(([name, value]) => openObjects(value, `${path}/${name}`));
  return isOpen ? [path === '' ? '/' : path, ...inner] : inner;
}

const NAMES_IN_URL = /:([a-z_]+)/g;

describe('every route', () => {
  it('is there at all', () => {
    expect(routes.length).toBeGreaterThan(30);
  });

  it('is declared once', () => {
    const names = routes.map(({ method, url }) => `${method} ${url.replaceAll(NAMES_IN_URL, ':x')}`);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  it('declares who may call it, by permissions that exist', () => {
    expect(offenders((route) => permissionsOf(route).filter((name) => !PERMISSIONS.has(name)))).toEqual([]);
    expect(offenders((route) => (permissionsOf(route).length === 0 ? ['none'] : []))).toEqual([]);
    // Where everybody may, naming somebody means that a mistake was made.
    expect(
      offenders((route) => {
        const permissions = permissionsOf(route);
        return permissions.includes('public') && permissions.length > 1 ? ['public and more'] : [];
      }),
    ).toEqual([]);
  });

  it('describes every parameter of its path, and no other', () => {
    expect(
      offenders((route) => {
        const wanted = [...route.url.matchAll(NAMES_IN_URL)].map(([, name]) => name).sort();
        const { properties = {} } = (route.schema.params ?? {}) as { properties?: object };
        return JSON.stringify(wanted) === JSON.stringify(Object.keys(properties).sort()) ? [] : [wanted];
      }),
    ).toEqual([]);
  });

  it('takes nothing that it does not name', () => {
    // A path has exactly the names of its pattern, which the test above compares.
    expect(
      offenders(({ schema: { query, body } }) => [...openObjects(query, '/query'), ...openObjects(body, '')]),
    ).toEqual([]);
  });

  it('describes its answer, and no GET or DELETE a body', () => {
    expect(
      offenders(({ schema }) => ((schema.response as unknown) === undefined ? ['no answer'] : [])),
    ).toEqual([]);
    expect(
      offenders(({ method, schema }) =>
        schema.body !== undefined && (method === 'GET' || method === 'DELETE') ? ['a body'] : [],
      ),
    ).toEqual([]);
  });

  it('has schemas that compile, and that refuse an unknown field', () => {
    for (const { schema } of routes) {
      for (const part of [schema.params, schema.query, schema.body, schema.response]) {
        if (part !== undefined) Compile(part);
      }
      const closed = [schema.query, schema.body].filter((part): part is TSchema => part !== undefined);
      for (const part of closed) expect(Compile(part).Check({ 'no such field': 1 })).toBe(false);
    }
  });

  it('raises only codes of the table, once each', () => {
    expect(offenders(({ errors }) => errors.filter((code) => !(code in ERRORS)))).toEqual([]);
    expect(offenders(({ errors }) => errors.filter((code, index) => errors.indexOf(code) !== index))).toEqual(
      [],
    );
  });

  it('changes something only as a write', () => {
    expect(offenders(({ kind, method }) => (kind !== 'write' && method !== 'GET' ? [kind] : []))).toEqual([]);
    expect(offenders(({ kind, method }) => (kind === 'write' && method === 'GET' ? [kind] : []))).toEqual([]);
  });

  it('says in one sentence what it does', () => {
    expect(offenders(({ summary }) => (/^[A-Z`].*\.$/.test(summary) ? [] : [summary]))).toEqual([]);
  });

  it('answers a 204 without a body, and only then null', () => {
    expect(
      offenders(({ successStatus, schema }) => {
        const isNull = (schema.response as { type?: string }).type === 'null';
        return isNull === (successStatus === 204) ? [] : [successStatus ?? 200];
      }),
    ).toEqual([]);
  });
});
