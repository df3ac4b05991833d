/**
 * Who may do what: users, tokens, groups, roles and access-control entries, and how Proxmox VE adds them up.
 *
 * - An entry on a deeper path replaces what comes from above; an entry that does not propagate counts at its own
 *   path only.
 * - Where a user has entries of its own on a path, those of its groups there do not count.
 * - A token without privilege separation may do what its user may; with it, what both may: its own entries and its
 *   user's.
 * - A VM or storage in a pool also gets what is propagated from `/pool/<name>`.
 */
import { allPrivileges, builtInRoles, type PveVersion } from './privileges.ts';

/** A user; `userid` is `name@realm`. */
export interface User {
  readonly userid: string;
  enable: boolean;
  comment: string | undefined;
  groups: Set<string>;
  password: string | undefined;
  readonly tokens: Map<string, Token>;
}

/** An API token of a user. */
export interface Token {
  readonly tokenid: string;
  secret: string;
  privsep: boolean;
  comment: string | undefined;
  /** Seconds since the epoch; 0: never. */
  expire: number;
}

/** One access-control entry. */
export interface AclEntry {
  readonly path: string;
  readonly type: 'user' | 'group' | 'token';
  readonly ugid: string;
  readonly roleid: string;
  readonly propagate: boolean;
}

const ROOT = 'root@pam';

/** In which pool a path's object is, for the privileges that come with the pool. */
export type PoolOf = (path: string) => string | undefined;

export class AccessControl {
  readonly users = new Map<string, User>();
  readonly groups = new Set<string>();
  readonly roles: Map<string, ReadonlySet<string>>;
  readonly specialRoles: ReadonlySet<string>;
  readonly privileges: ReadonlySet<string>;
  acl: AclEntry[] = [];
  readonly #poolOf: PoolOf;

  constructor(version: PveVersion, poolOf: PoolOf) {
    this.roles = builtInRoles(version);
    this.specialRoles = new Set(this.roles.keys());
    this.privileges = allPrivileges(version);
    this.#poolOf = poolOf;
    this.addUser(ROOT);
  }

  addUser(userid: string): User {
    const user: User = {
      userid,
      enable: true,
      comment: undefined,
      groups: new Set(),
      password: undefined,
      tokens: new Map(),
    };
    this.users.set(userid, user);
    return user;
  }

  /** Adds entries, replacing those about the same path, holder and role. */
  grant(entries: readonly AclEntry[]): void {
    for (const entry of entries) {
      this.revoke(entry);
      this.acl.push(entry);
    }
  }

  revoke({ path, type, ugid, roleid }: Omit<AclEntry, 'propagate'>): void {
    this.acl = this.acl.filter(
      (entry) => entry.path !== path || entry.type !== type || entry.ugid !== ugid || entry.roleid !== roleid,
    );
  }

  /** What `authId` (`user@realm` or `user@realm!token`) may do at a path: privilege → whether it propagates. */
  permissions(authId: string, path: string): Map<string, boolean> {
    if (authId === ROOT) return new Map([...this.privileges].map((privilege) => [privilege, true]));
    const [userid = '', tokenid] = authId.split('!');
    const ofUser = this.#ofUserOrToken(userid, path);
    if (tokenid === undefined) return ofUser;
    const token = this.users.get(userid)?.tokens.get(tokenid);
    if (token === undefined) return new Map();
    const userHas = userid === ROOT ? this.permissions(ROOT, path) : ofUser;
    if (!token.privsep) return userHas;
    const ofToken = this.#ofUserOrToken(authId, path);
    return new Map(
      [...ofToken]
        .filter(([privilege]) => userHas.has(privilege))
        .map(([privilege, spreads]) => [privilege, spreads && userHas.get(privilege) === true]),
    );
  }

  /** Whether `authId` has all (or with `any` one) of some privileges at a path. */
  has(authId: string, path: string, privileges: readonly string[], any = false): boolean {
    if (this.#mayDoEverything(authId)) return true;
    const found = this.permissions(authId, path);
    return any ? privileges.some((each) => found.has(each)) : privileges.every((each) => found.has(each));
  }

  /** Root, and its tokens without separation: worth not adding up, in lists of a thousand VMs. */
  #mayDoEverything(authId: string): boolean {
    if (authId === ROOT) return true;
    const [userid = '', tokenid = ''] = authId.split('!');
    return userid === ROOT && this.users.get(ROOT)?.tokens.get(tokenid)?.privsep === false;
  }

  #ofUserOrToken(authId: string, path: string): Map<string, boolean> {
    const found = this.#privilegesOf(this.#rolesAt(authId, path));
    const pool = this.#poolOf(path);
    if (pool === undefined) return found;
    for (const [privilege, spreads] of this.#privilegesOf(this.#rolesAt(authId, `/pool/${pool}`))) {
      if (spreads && !found.has(privilege)) found.set(privilege, true);
    }
    return found;
  }

  #privilegesOf(roles: ReadonlyMap<string, boolean>): Map<string, boolean> {
    const found = new Map<string, boolean>();
    for (const [role, spreads] of roles) {
      for (const privilege of this.roles.get(role) ?? [])
        found.set(privilege, spreads || found.get(privilege) === true);
    }
    return found;
  }

  /** The roles that count at a path: those of the deepest path that says anything. */
  #rolesAt(authId: string, path: string): Map<string, boolean> {
    let current = new Map<string, boolean>();
    for (const step of pathsDownTo(path)) {
      const here = this.#rolesOn(authId, step, step === path);
      if (here.size > 0) current = here;
    }
    return current.has('NoAccess') ? new Map<string, boolean>() : current;
  }

  #rolesOn(authId: string, path: string, isFinal: boolean): Map<string, boolean> {
    const counts = (entry: AclEntry): boolean => entry.path === path && (isFinal || entry.propagate);
    const collect = (type: AclEntry['type'], isHolder: (ugid: string) => boolean) =>
      new Map<string, boolean>(
        this.acl
          .filter((entry) => counts(entry) && entry.type === type && isHolder(entry.ugid))
          .map((entry) => [entry.roleid, entry.propagate]),
      );
    if (authId.includes('!')) return collect('token', (ugid) => ugid === authId);
    const own = collect('user', (ugid) => ugid === authId);
    if (own.size > 0) return own;
    const groups = this.users.get(authId)?.groups;
    return collect('group', (ugid) => groups?.has(ugid) === true);
  }
}

function pathsDownTo(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '');
  return ['/', ...parts.map((_, index) => `/${parts.slice(0, index + 1).join('/')}`)];
}
