/** Which privilege each call needs, as a table to read. Pure. */
import { permissionOf } from './answer-request.ts';
import type { Permission, Route } from './route.ts';

/** One line a call: what it needs, and what is looked at beside that. */
export function permissionTable(routes: readonly Route[], major: number): string {
  const rows = routes.map((route) => {
    const permission = permissionOf(route, major);
    const also = 'also' in permission && permission.also !== undefined ? permission.also : '';
    return [`${route.method} ${route.path}`, describePermission(permission), also] as const;
  });
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column as 0 | 1].length)));
  return rows
    .map(
      ([call, needs, also]) =>
        `| ${call.padEnd(widths[0] ?? 0)} | ${needs.padEnd(widths[1] ?? 0)} | ${also} |`,
    )
    .join('\n');
}

function describePermission(permission: Permission): string {
  if ('user' in permission) return permission.user === 'world' ? 'nobody need log in' : 'any user';
  if ('and' in permission)
    return permission.and
      .map((each) => ('or' in each ? `(${describePermission(each)})` : describePermission(each)))
      .join(' and ');
  if ('or' in permission) return permission.or.map(describePermission).join(' or ');
  return `${permission.privileges.join(permission.any === true ? ' or ' : ' and ')} on ${permission.path}`;
}
