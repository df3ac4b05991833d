/** Calls about logging in, users and their tokens. */
import type { Token, User } from '../access/access-control.ts';
import { demand, may } from '../access/check-permission.ts';
import type { Authenticator } from '../access/authenticate.ts';
import { PveError } from '../http/pve-error.ts';
import { FLAG, opt, TEXT, type Call, type Permission, type Route } from './route.ts';

const USERID = {
  type: 'string',
  pattern: /^[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+$/,
  maxLength: 64,
  format: 'value does not look like a valid user name',
} as const;
const TOKENID = { type: 'string', pattern: /^[A-Za-z][A-Za-z0-9.\-_]+$/ } as const;
const EXPIRE = { type: 'integer', optional: true, minimum: 0 } as const;
const OWN_TOKEN: Permission = {
  user: 'all',
  also: 'Own tokens; of others User.Modify on /access/groups: 403.',
};

/** The routes; logging in needs the authenticator. */
export function userRoutes(authenticator: Authenticator): readonly Route[] {
  return [...ticketRoutes(authenticator), ...plainUserRoutes(), ...tokenRoutes()];
}

function ticketRoutes(authenticator: Authenticator): Route[] {
  return [
    {
      method: 'GET',
      path: '/access/domains',
      parameters: {},
      permission: { user: 'world' },
      handle: () => [
        { realm: 'pam', type: 'pam', comment: 'Linux PAM standard authentication' },
        { realm: 'pve', type: 'pve', comment: 'Proxmox VE authentication server' },
      ],
    },
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
  ];
}

function plainUserRoutes(): Route[] {
  return [
    {
      method: 'GET',
      path: '/access/users',
      parameters: { enabled: FLAG, full: FLAG },
      permission: {
        user: 'all',
        also: 'User.Modify or Sys.Audit on /access/groups: without it only oneself is listed.',
      },
      handle: (call) => listUsers(call),
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
      handle: (call) => showUser(call),
    },
    {
      method: 'DELETE',
      path: '/access/users/{userid}',
      parameters: { userid: USERID },
      permission: {
        user: 'all',
        also: 'Realm.AllocateUser on /access/realm/{realm} and User.Modify on /access/groups: 403.',
      },
      handle: (call) => removeUser(call),
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
      parameters: {
        ...at,
        comment: opt(TEXT),
        expire: EXPIRE,
        privsep: FLAG,
        delete: { ...opt(TEXT), since: 9 },
      },
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

function listUsers(call: Call): unknown[] {
  return [...call.cluster.access.users.values()]
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
    }));
}

function showUser(call: Call): unknown {
  demand(call, '/access/groups', ['User.Modify', 'Sys.Audit'], true);
  const user = userOf(call);
  return {
    enable: Number(user.enable),
    expire: 0,
    groups: [...user.groups],
    tokens: {},
    ...(user.comment === undefined ? {} : { comment: user.comment }),
  };
}

function removeUser(call: Call): void {
  demandUserChange(call, call.params.text('userid'));
  const { userid } = userOf(call);
  call.cluster.access.users.delete(userid);
  call.cluster.access.acl = call.cluster.access.acl.filter(
    ({ ugid }) => ugid !== userid && !ugid.startsWith(`${userid}!`),
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
