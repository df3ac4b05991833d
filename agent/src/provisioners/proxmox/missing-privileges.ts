/** Compares what a token may do with what it must, and writes the commands that give it the rest. PURE. */
import { roleNameOf, type PrivilegeNeed } from './privileges.ts';

/** What Proxmox refused: one of these privileges at a path would have been enough. */
export interface Denial {
  readonly path: string;
  readonly privileges: readonly string[];
}

/** Privileges of a need that are not there. */
export interface Missing {
  readonly need: PrivilegeNeed;
  readonly privileges: readonly string[];
}

/** What a 403 of Proxmox says; null where it does not say it in the known form. */
export function readDenial(message: string): Denial | null {
  const [, path, privileges] = /\((\/[\w./-]*), ([\w.|, ]+)\)/.exec(message) ?? [];
  return path === undefined || privileges === undefined
    ? null
    : { path, privileges: privileges.split(/[|, ]+/) };
}

/** What is missing by the token's own permissions at each path, and by what was refused on the way. */
export function findMissing(
  needs: readonly PrivilegeNeed[],
  has: ReadonlyMap<string, ReadonlySet<string>>,
  denials: readonly Denial[],
): Missing[] {
  return needs.flatMap((need) => {
    const refused = denials
      .filter(({ path }) => path === need.path)
      // Of several that would do, the one that we ask for.
      .flatMap(({ privileges }) => privileges.filter((each) => need.privileges.includes(each)));
    const privileges = need.privileges.filter(
      (each) => has.get(need.path)?.has(each) !== true || refused.includes(each),
    );
    return privileges.length === 0 ? [] : [{ need, privileges }];
  });
}

/**
 * The `pveum` commands that give a token what it lacks, one line each. `roles` are those that there are. A token with
 * privileges of its own can never do more than its user: both get them.
 */
export function commandsFor(
  { need, privileges }: Missing,
  tokenId: string,
  roles: ReadonlyMap<string, ReadonlySet<string>>,
): string[] {
  const name = roleNameOf(need.purpose);
  const role = roles.get(name);
  const user = tokenId.split('!')[0] ?? '';
  const grant = `pveum acl modify ${need.path} --users '${user}' --tokens '${tokenId}' --roles ${name}`;
  if (role === undefined) return [`pveum role add ${name} --privs '${need.privileges.join(' ')}'`, grant];
  const lacking = privileges.filter((each) => !role.has(each));
  const extend =
    lacking.length === 0 ? [] : [`pveum role modify ${name} --append 1 --privs '${lacking.join(' ')}'`];
  // What the role has and the token has not shows that the role is not given to it there.
  const isGranted = lacking.length === privileges.length && role.size > 0;
  return isGranted ? extend : [...extend, grant];
}
