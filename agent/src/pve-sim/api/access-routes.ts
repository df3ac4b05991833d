/** Calls about users, tokens, roles, access control and tickets. */
import type { AclEntry, Token, User } from '../access/access-control.ts';
import { demand, may } from '../access/check-permission.ts';
import type { Authenticator } from '../access/authenticate.ts';
import { PveError } from '../http/pve-error.ts';
import { FLAG, opt, perm, TEXT, type Call, type Permission, type Route } from './route.ts';

const USERID = {
  type: 'string',
  pattern: /^[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+$/,
  maxLength: 64,
  format: 'value does not look like a valid user name',
} as const;
const TOKENID = { type: 'string', pattern: /^[A-Za-z][A-Za-z0-9.\-_]+$/ } as const;
const ROLEID = { type: 'string', pattern: /^[A-Za-z0-9.\-_]+$/ } as const;
const EXPIRE = { type: 'integer', optional: true, minimum: 0 } as const;
const OWN_TOKEN: Permission = {
  user: 'all',
  also: 'Own tokens; of others User.Modify on /access/groups: 403.',
};
const ACL_PATH =
  /^\/(|access(\/(groups|realm)(\/[^/]+)?)?|nodes(\/[^/]+)?|pool(\/.+)?|sdn(\/.+)?|storage(\/[^/]+)?|vms(\/\d{3,})?|mapping(\/.+)?)$/;

/** The routes; logging in needs the authenticator. */
export function accessRoutes(authenticator: Authenticator): readonly Route[] {
  return [...ticketRoutes(authenticator), ...userRoutes(), ...tokenRoutes(), ...roleRoutes(), ...aclRoutes()];
}

function ticketRoutes(authenticator: Authenticator): Route[] {
  return [
    {
      method: 'POST',
      path: '/access/ticket',
      parameters: {
        username: TEXT,
        password: TEXT,
        realm: opt(TEXT),
        otp: opt(TEXT),
        path: opt(TEXT),
        privs: opt(TEXT),
        'new-format': FLAG,
        'tfa-challenge': opt(TEXT),
      },
      permission: { user: 'world' },
      needsQuorum: false,
      handle: ({ params }) => {
        const username = params.text('username');
        const userid = username.includes('@') ? username : `${username}@${params.textOr('realm') ?? 'pam'}`;
        return authenticator.logIn(userid, params.text('password'));
      },
    },
    {
      method: 'GET',
      path: '/access/permissions',
      parameters: { userid: opt(TEXT), path: opt(TEXT) },
      permission: { user: 'all', also: 'Of others: Sys.Audit on /access, 403.' },
      handle: (call) => permissions(call),
    },
  ];
}

function userRoutes(): Route[] {
  return [
    {
      method: 'GET',
      path: '/access/users',
      parameters: { enabled: FLAG, full: FLAG },
      permission: {
        user: 'all',
        also: 'User.Modify or Sys.Audit on /access/groups: without it only oneself is listed.',
      },
      handle: (call) =>
        [...call.cluster.access.users.values()]
          .filter(
            (user) =>
              user.userid === call.authId.split('!')[0] ||
              may(call, '/access/groups', ['User.Modify', 'Sys.Audit'], true),
          )
          .map((user) => ({
            userid: user.userid,
            enable: Number(user.enable),
            expire: 0,
            'realm-type': user.userid.endsWith('@pam') ? 'pam' : 'pve',
            ...(user.comment === undefined ? {} : { comment: user.comment }),
          })),
    },
    {
      method: 'POST',
      path: '/access/users',
      parameters: {
        userid: USERID,
        password: opt({ type: 'string', maxLength: 64 }),
        comment: opt(TEXT),
        groups: opt(TEXT),
        enable: FLAG,
        expire: EXPIRE,
        email: opt(TEXT),
        firstname: opt(TEXT),
        lastname: opt(TEXT),
        keys: opt(TEXT),
      },
      permission: {
        user: 'all',
        also: 'Realm.AllocateUser on /access/realm/{realm} and User.Modify on /access/groups: 403.',
      },
      handle: (call) => addUser(call),
    },
    {
      method: 'GET',
      path: '/access/users/{userid}',
      parameters: { userid: USERID },
      permission: { user: 'all', also: 'User.Modify or Sys.Audit on /access/groups: 403.' },
      handle: (call) => {
        demand(call, '/access/groups', ['User.Modify', 'Sys.Audit'], true);
        const user = userOf(call);
        return {
          enable: Number(user.enable),
          expire: 0,
          groups: [...user.groups],
          tokens: {},
          ...(user.comment === undefined ? {} : { comment: user.comment }),
        };
      },
    },
    {
      method: 'DELETE',
      path: '/access/users/{userid}',
      parameters: { userid: USERID },
      permission: {
        user: 'all',
        also: 'Realm.AllocateUser on /access/realm/{realm} and User.Modify on /access/groups: 403.',
      },
      handle: (call) => {
        demandUserChange(call, call.params.text('userid'));
        const { userid } = userOf(call);
        call.cluster.access.users.delete(userid);
        call.cluster.access.acl = call.cluster.access.acl.filter(
          ({ ugid }) => ugid !== userid && !ugid.startsWith(`${userid}!`),
        );
      },
    },
  ];
}

function tokenRoutes(): Route[] {
  const path = '/access/users/{userid}/token/{tokenid}';
  const at = { userid: USERID, tokenid: TOKENID };
  return [
    {
      method: 'GET',
      path: '/access/users/{userid}/token',
      parameters: { userid: USERID },
      permission: OWN_TOKEN,
      handle: (call) =>
        [...ownedUser(call).tokens.values()].map((token) => ({
          tokenid: token.tokenid,
          ...tokenInfo(token),
        })),
    },
    {
      method: 'GET',
      path,
      parameters: at,
      permission: OWN_TOKEN,
      handle: (call) => tokenInfo(tokenOf(call)),
    },
    {
      method: 'POST',
      path,
      parameters: { ...at, comment: opt(TEXT), expire: EXPIRE, privsep: FLAG },
      permission: OWN_TOKEN,
      handle: (call) => addToken(call),
    },
    {
      method: 'PUT',
      path,
      parameters: { ...at, comment: opt(TEXT), expire: EXPIRE, privsep: FLAG, delete: opt(TEXT) },
      permission: OWN_TOKEN,
      handle: (call) => {
        const token = tokenOf(call);
        token.comment = call.params.textOr('comment') ?? token.comment;
        token.expire = call.params.integerOr('expire', token.expire);
        token.privsep = call.params.flag('privsep', token.privsep);
        return tokenInfo(token);
      },
    },
    {
      method: 'DELETE',
      path,
      parameters: at,
      permission: OWN_TOKEN,
      handle: (call) => {
        const { tokenid } = tokenOf(call);
        ownedUser(call).tokens.delete(tokenid);
        const ugid = `${call.params.text('userid')}!${tokenid}`;
        call.cluster.access.acl = call.cluster.access.acl.filter((entry) => entry.ugid !== ugid);
      },
    },
  ];
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

function demandUserChange(call: Call, userid: string): void {
  demand(call, `/access/realm/${userid.split('@')[1] ?? ''}`, ['Realm.AllocateUser']);
  demand(call, '/access/groups', ['User.Modify']);
}

function addUser(call: Call): void {
  const { cluster, params } = call;
  const userid = params.text('userid');
  demandUserChange(call, userid);
  if (cluster.access.users.has(userid))
    throw PveError.failed(`create user failed: user '${userid}' already exists`);
  const user = cluster.access.addUser(userid);
  user.password = params.textOr('password');
  user.comment = params.textOr('comment');
  user.enable = params.flag('enable', true);
}

function userOf({ cluster, params }: Call): User {
  const userid = params.text('userid');
  const user = cluster.access.users.get(userid);
  if (user === undefined) throw PveError.failed(`no such user ('${userid}')`);
  return user;
}

function ownedUser(call: Call): User {
  const userid = call.params.text('userid');
  if (call.authId !== userid) demand(call, '/access/groups', ['User.Modify']);
  return userOf(call);
}

function tokenOf(call: Call): Token {
  const user = ownedUser(call);
  const tokenid = call.params.text('tokenid');
  const token = user.tokens.get(tokenid);
  if (token === undefined) throw PveError.failed(`no such token '${tokenid}' for user '${user.userid}'`);
  return token;
}

function addToken(call: Call): unknown {
  const { cluster, params } = call;
  const user = ownedUser(call);
  const tokenid = params.text('tokenid');
  if (user.tokens.has(tokenid)) throw PveError.parameters({ tokenid: 'Token already exists.' });
  const token: Token = {
    tokenid,
    secret: cluster.newUuid(),
    privsep: params.flag('privsep', true),
    comment: params.textOr('comment'),
    expire: params.integerOr('expire', 0),
  };
  user.tokens.set(tokenid, token);
  return { 'full-tokenid': `${user.userid}!${tokenid}`, info: tokenInfo(token), value: token.secret };
}

function tokenInfo(token: Token): Record<string, unknown> {
  return {
    privsep: Number(token.privsep),
    expire: token.expire,
    ...(token.comment === undefined ? {} : { comment: token.comment }),
  };
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
