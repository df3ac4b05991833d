/** The simulator's calls held against the vendor's descriptions: names, parameters, privileges. */
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import { permissionOf } from '../api/answer-request.ts';
import type { Permission, Route } from '../api/route.ts';
import { startPveSimulator } from '../start-pve-simulator.ts';
import { findOfficialSchema, whyNoOfficialSchema } from '../testing/find-official-schema.ts';
import { propertyOf, type Schema } from './check-value.ts';
import type { OfficialSchema } from './official-schema.ts';

async function routesOf(version: string): Promise<readonly Route[]> {
  const simulator = await startPveSimulator({ clock: systemClock, random: systemRandom, version });
  await simulator.close();
  return simulator.routes;
}

/** A permission as the vendor writes it; null where the vendor describes it in words only. */
function asCheck(permission: Permission): unknown {
  if ('user' in permission) return null;
  if ('and' in permission) return ['and', ...permission.and.map(asCheck)];
  if ('or' in permission) return ['or', ...permission.or.map(asCheck)];
  return ['perm', permission.path, permission.privileges, ...(permission.any === true ? ['any', 1] : [])];
}

/** A vendor's check without what says only how parameters are found, and lists where it wrote one name. */
function plain(check: unknown): unknown {
  if (!Array.isArray(check)) return check ?? null;
  if (check[0] !== 'perm') return check.map(plain);
  const [, path, privileges, ...rest] = check as unknown[];
  const any = rest.indexOf('any') >= 0 ? ['any', 1] : [];
  return ['perm', path, [privileges].flat(), ...any];
}

function parameterProblems(route: Route, schema: OfficialSchema): string[] {
  const name = `${route.method} ${route.path}`;
  const properties: Readonly<Record<string, Schema>> =
    schema.call(route.method, route.path)?.parameters.properties ?? {};
  const problems: string[] = [];
  for (const [key, spec] of Object.entries(route.parameters)) {
    const official = properties[key] ?? propertyOf(properties, key);
    if (official === undefined) problems.push(`${name}: ${key} is not known`);
    else if ((official.optional === 1) !== (spec.optional === true))
      problems.push(`${name}: ${key} optional ${official.optional ?? 0}`);
    else if ((official.type ?? 'string') !== spec.type)
      problems.push(`${name}: ${key} is a ${official.type ?? 'string'}`);
  }
  for (const [key, official] of Object.entries(properties)) {
    if (official.optional !== 1 && !(key in route.parameters)) problems.push(`${name}: ${key} is missing`);
  }
  return problems;
}

// Without the vendor's files there is nothing to compare with.
describe.skipIf(whyNoOfficialSchema() !== null).each(['7.4', '8.4', '9.1'])(
  'the calls of version %s',
  (version) => {
    it('are all in the official description', async () => {
      const schema = (await findOfficialSchema(version))!;
      const routes = await routesOf(version);
      const covered = routes.filter((route) => schema.call(route.method, route.path) !== undefined);
      const unknown = routes
        .filter((route) => !covered.includes(route))
        .map(({ method, path }) => `${method} ${path}`);
      expect(unknown).toEqual([]);
      expect(`${covered.length} of ${routes.length} calls are described`).toBe(
        `${routes.length} of ${routes.length} calls are described`,
      );
    });

    it('take the parameters that it says', async () => {
      const schema = (await findOfficialSchema(version))!;
      const problems = (await routesOf(version)).flatMap((route) => parameterProblems(route, schema));
      expect(problems).toEqual([]);
    });

    it('ask for the privileges that it says', async () => {
      const schema = (await findOfficialSchema(version))!;
      const major = Number(version[0]);
      for (const route of await routesOf(version)) {
        const official = schema.call(route.method, route.path)?.permissions;
        const ours = asCheck(permissionOf(route, major));
        // Where ours is in words, so is the vendor's, or it has a check that only the code knows (userid-group, …).
        if (ours === null) expect(JSON.stringify(official?.check ?? '')).not.toMatch(/^\["perm",/);
        else
          expect({ [`${route.method} ${route.path}`]: ours }).toEqual({
            [`${route.method} ${route.path}`]: plain(official?.check),
          });
      }
    });
  },
);
