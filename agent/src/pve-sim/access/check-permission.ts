/** Checks what a route asks of its caller. */
import { PveError } from '../http/pve-error.ts';
import type { Call, Permission } from '../api/route.ts';

/** Throws the 403 where the caller may not. */
export function checkPermission(permission: Permission, call: Call): void {
  const problem = problemWith(permission, call);
  if (problem !== null) throw problem;
}

/** Checks privileges at a path for the caller. Throws the 403. */
export function demand(call: Call, path: string, privileges: readonly string[], any = false): void {
  if (!call.cluster.access.has(call.authId, path, privileges, any)) throw denial(call, path, privileges, any);
}

/** Whether the caller has privileges at a path. */
export function may(call: Call, path: string, privileges: readonly string[], any = false): boolean {
  return call.cluster.access.has(call.authId, path, privileges, any);
}

function problemWith(permission: Permission, call: Call): PveError | null {
  if ('user' in permission) return null;
  if ('and' in permission) {
    for (const each of permission.and) {
      const problem = problemWith(each, call);
      if (problem !== null) return problem;
    }
    return null;
  }
  if ('or' in permission) {
    const problems = permission.or.map((each) => problemWith(each, call));
    return problems.includes(null) ? null : (problems[0] ?? null);
  }
  const path = fill(permission.path, call);
  // A path with a parameter that was not given, as /pool/{pool}: nobody has anything there.
  if (path === null) return PveError.denied(permission.path, permission.privileges);
  const { privileges, any } = permission;
  return may(call, path, privileges, any) ? null : denial(call, path, privileges, any === true);
}

/** Names what is missing: with `any` all that would do. */
function denial(
  { cluster, authId }: Call,
  path: string,
  privileges: readonly string[],
  any: boolean,
): PveError {
  const has = cluster.access.permissions(authId, path);
  if (any) return PveError.denied(path, privileges);
  return PveError.denied(
    path,
    privileges.filter((privilege) => !has.has(privilege)),
  );
}

function fill(path: string, { params }: Call): string | null {
  let isComplete = true;
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    if (!params.has(name)) isComplete = false;
    return params.text(name);
  });
  return isComplete ? filled : null;
}
