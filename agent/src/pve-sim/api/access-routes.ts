/** Calls about privileges, roles and access control. */
import type { AclEntry } from '../access/access-control.ts';
import { demand, may } from '../access/check-permission.ts';
import { PveError } from '../http/pve-error.ts';
import { FLAG, opt, perm, TEXT, type Call, type Route } from './route.ts';

const ROLEID = { type: 'string', pattern: /^[A-Za-z0-9.\-_]+$/ } as const;
const ACL_PATH =
  /^\/(|access(\/(groups|realm)(\/[^/]+)?)?|nodes(\/[^/]+)?|pool(\/.+)?|sdn(\/.+)?|storage(\/[^/]+)?|vms(\/\d{3,})?|mapping(\/.+)?)$/;

/** The routes. */
export function accessRoutes(): readonly Route[] {
  return [...roleRoutes(), ...aclRoutes()];
}

function roleRoutes(): Route[] {
  return [
    {
      method: 'GET',
      path: '/access/roles',
      parameters: {},
      permission: { user: 'all' },
      handle: ({ cluster: { access } }) =>
        [...access.roles].map(([roleid, privileges]) => ({
          roleid,
          privs: [...privileges].sort().join(','),
          special: Number(access.specialRoles.has(roleid)),
        })),
    },
    {
      method: 'GET',
      path: '/access/roles/{roleid}',
      parameters: { roleid: ROLEID },
      permission: { user: 'all' },
      handle: ({ cluster: { access }, params }) => {
        const privileges = access.roles.get(params.text('roleid'));
        if (privileges === undefined) throw PveError.failed(`role '${params.text('roleid')}' does not exist`);
        return Object.fromEntries([...privileges].map((privilege) => [privilege, 1]));
      },
    },
    {
      method: 'POST',
      path: '/access/roles',
      parameters: { roleid: ROLEID, privs: opt(TEXT) },
      permission: perm('/access', 'Sys.Modify'),
      handle: ({ cluster: { access }, params }) => {
        const roleid = params.text('roleid');
        if (access.roles.has(roleid))
          throw PveError.failed(`create role failed: role '${roleid}' already exists`);
        access.roles.set(roleid, privilegesOf(access.privileges, params.textOr('privs')));
      },
    },
    {
      method: 'PUT',
      path: '/access/roles/{roleid}',
      parameters: { roleid: ROLEID, privs: opt(TEXT), append: FLAG },
      permission: perm('/access', 'Sys.Modify'),
      handle: ({ cluster: { access }, params }) => {
        const roleid = params.text('roleid');
        const old = access.roles.get(roleid);
        if (old === undefined) throw PveError.failed(`role '${roleid}' does not exist`);
        if (access.specialRoles.has(roleid))
          throw PveError.failed(`auto-generated role '${roleid}' cannot be modified`);
        const privileges = privilegesOf(access.privileges, params.textOr('privs'));
        access.roles.set(roleid, params.flag('append') ? new Set([...old, ...privileges]) : privileges);
      },
    },
    {
      method: 'DELETE',
      path: '/access/roles/{roleid}',
      parameters: { roleid: ROLEID },
      permission: perm('/access', 'Sys.Modify'),
      handle: ({ cluster: { access }, params }) => {
        const roleid = params.text('roleid');
        if (access.specialRoles.has(roleid))
          throw PveError.failed(`auto-generated role '${roleid}' cannot be deleted`);
        if (!access.roles.delete(roleid)) throw PveError.failed(`role '${roleid}' does not exist`);
        access.acl = access.acl.filter((entry) => entry.roleid !== roleid);
      },
    },
  ];
}

function aclRoutes(): Route[] {
  return [
    {
      method: 'GET',
      path: '/access/permissions',
      parameters: { userid: opt(TEXT), path: opt(TEXT) },
      permission: { user: 'all', also: 'Of others: Sys.Audit on /access, 403.' },
      handle: (call) => permissions(call),
    },
    {
      method: 'GET',
      path: '/access/acl',
      parameters: {},
      permission: {
        user: 'all',
        also: 'Sys.Audit or Permissions.Modify at the path of each entry: not listed without.',
      },
      handle: (call) =>
        call.cluster.access.acl
          .filter(
            ({ path }) =>
              may(call, path, ['Sys.Audit', 'Permissions.Modify'], true) ||
              may(call, '/access', ['Sys.Audit']),
          )
          .map(({ path, type, ugid, roleid, propagate }) => ({
            path,
            type,
            ugid,
            roleid,
            propagate: Number(propagate),
          })),
    },
    {
      method: 'PUT',
      path: '/access/acl',
      parameters: {
        path: TEXT,
        roles: TEXT,
        users: opt(TEXT),
        groups: opt(TEXT),
        tokens: opt(TEXT),
        propagate: FLAG,
        delete: FLAG,
      },
      permission: { user: 'all', also: 'Permissions.Modify at the path: 403.' },
      handle: (call) => changeAcl(call),
    },
  ];
}

function permissions(call: Call): Record<string, Record<string, number>> {
  const { cluster, params, authId } = call;
  const about = params.textOr('userid') ?? authId;
  if (about !== authId && !about.startsWith(`${authId}!`)) demand(call, '/access', ['Sys.Audit']);
  const usual = [
    '/',
    '/access',
    '/access/groups',
    '/nodes',
    '/pool',
    '/sdn',
    '/storage',
    '/vms',
    ...(cluster.version.major >= 8 ? ['/mapping'] : []),
  ];
  const paths = params.has('path')
    ? [params.text('path')]
    : [...new Set([...usual, ...cluster.access.acl.map(({ path }) => path)])];
  const found = paths.map((path): [string, Record<string, number>] => {
    const privileges = cluster.access.permissions(about, path);
    return [
      path,
      Object.fromEntries([...privileges].map(([privilege, spreads]) => [privilege, Number(spreads)])),
    ];
  });
  return Object.fromEntries(
    found.filter(([, privileges]) => params.has('path') || Object.keys(privileges).length > 0),
  );
}

function privilegesOf(known: ReadonlySet<string>, text: string | undefined): Set<string> {
  const names = (text ?? '').split(/[,; ]+/).filter((name) => name !== '');
  const unknown = names.find((name) => !known.has(name));
  if (unknown !== undefined)
    throw PveError.parameters({ privs: `invalid format - invalid privilege '${unknown}'` });
  return new Set(names);
}

function changeAcl(call: Call): void {
  const { cluster, params } = call;
  const path = params.text('path').replace(/(?<=.)\/+$/, '');
  if (!ACL_PATH.test(path)) throw PveError.parameters({ path: `invalid ACL path '${path}'` });
  demand(call, path, ['Permissions.Modify']);
  const list = (name: string): string[] =>
    (params.textOr(name) ?? '').split(/[,; ]+/).filter((each) => each !== '');
  const roles = list('roles');
  for (const role of roles)
    if (!cluster.access.roles.has(role)) throw PveError.failed(`role '${role}' does not exist`);
  for (const user of list('users'))
    if (!cluster.access.users.has(user)) throw PveError.failed(`user '${user}' does not exist`);
  const holders = [
    ...list('users').map((ugid) => ({ type: 'user', ugid }) as const),
    ...list('groups').map((ugid) => ({ type: 'group', ugid }) as const),
    ...list('tokens').map((ugid) => ({ type: 'token', ugid }) as const),
  ];
  if (holders.length === 0)
    throw PveError.parameters({
      users: "property is missing and it is not optional (one of 'users', 'groups', 'tokens')",
    });
  const entries: AclEntry[] = holders.flatMap((holder) =>
    roles.map((roleid) => ({ ...holder, path, roleid, propagate: params.flag('propagate', true) })),
  );
  if (params.flag('delete')) for (const entry of entries) cluster.access.revoke(entry);
  else cluster.access.grant(entries);
}
