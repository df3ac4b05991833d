/** The steps that let the agent in: pools, roles with exactly what the driver needs, a user, a token, and the grants. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { Type } from 'typebox';
import { AppError, isAppError } from '@dc/shared/errors';
import { writeFileAtomically } from '../../lib/write-file.ts';
import { privilegeNeeds, roleNameOf, type PrivilegeNeed } from '../../provisioners/proxmox/privileges.ts';
import { PveClient, PveRefusal } from '../../provisioners/proxmox/pve-client.ts';
import { pvePath } from '../../provisioners/proxmox/pve-path.ts';
import { read, readFingerprint } from './host-facts.ts';
import { shellLine } from './host.ts';
import { apiPath, parseJson, pveshArgv } from './pvesh.ts';
import {
  MADE_BY_US,
  TEMPLATE_POOL,
  tokenFileOf,
  tokenIdOf,
  USER,
  type SetupContext,
} from './setup-context.ts';
import type { Action, Step } from './step.ts';

const Comment = Type.Optional(Type.String());
const PoolSchema = Type.Array(Type.Object({ poolid: Type.String(), comment: Comment }));
const RoleSchema = Type.Array(Type.Object({ roleid: Type.String(), privs: Type.Optional(Type.String()) }));
const UserSchema = Type.Array(Type.Object({ userid: Type.String(), comment: Comment }));
const TokenSchema = Type.Array(
  Type.Object({
    tokenid: Type.String(),
    comment: Comment,
    privsep: Type.Optional(Type.Union([Type.Integer(), Type.Boolean()])),
  }),
);
const AclSchema = Type.Array(
  Type.Object({
    path: Type.String(),
    ugid: Type.String(),
    roleid: Type.String(),
    propagate: Type.Optional(Type.Union([Type.Integer(), Type.Boolean()])),
  }),
);
const SecretSchema = Type.Object({ value: Type.String({ pattern: '^[0-9a-f-]{36}$' }) });

/** In order: the token's grants need the token, its check needs the grants. */
export const accessSteps = (context: SetupContext): Step[] => [
  poolStep(context, context.plan.pool),
  poolStep(context, TEMPLATE_POOL),
  rolesStep(context),
  userStep(context),
  tokenStep(context),
  grantsStep(context),
];

/** What the driver needs on this cluster. */
const needsOf = ({ plan, facts }: SetupContext): PrivilegeNeed[] =>
  privilegeNeeds(facts.major, {
    pool: plan.pool,
    templates: [`/pool/${TEMPLATE_POOL}`],
    storages: [plan.storage],
    bridges: [plan.bridge],
  });

const roleOf = ({ purpose }: PrivilegeNeed): string => roleNameOf(purpose);

const isOurs = (comment: string | undefined): boolean => comment?.includes(MADE_BY_US) === true;

const taken = (what: string, remedy: string): AppError =>
  new AppError('SETUP_NAME_TAKEN', `There is ${what} already, and set-up did not make it.`, { remedy });

function changing({ pvesh }: SetupContext, argv: [string, ...string[]]): Action {
  return { line: shellLine(argv.slice(0, -2)), run: () => pvesh.change(argv) };
}

function poolStep(context: SetupContext, poolid: string): Step {
  return {
    title: `Pool ${poolid}`,
    async find() {
      const pool = read(PoolSchema, await context.pvesh.get(apiPath`/pools`)).find(
        (each) => each.poolid === poolid,
      );
      if (pool !== undefined && !isOurs(pool.comment))
        throw taken(`a pool ${poolid}`, `Choose another --pool, or write "${MADE_BY_US}" into its comment.`);
      if (pool !== undefined) return { detail: 'it is there', actions: [] };
      const argv = pveshArgv('create', apiPath`/pools`, { poolid, comment: MADE_BY_US });
      return { detail: 'it is not there', actions: [changing(context, argv)] };
    },
  };
}

function rolesStep(context: SetupContext): Step {
  return {
    title: `Roles for Proxmox VE ${context.facts.major}`,
    async find() {
      const roles = read(RoleSchema, await context.pvesh.get(apiPath`/access/roles`));
      const acl = read(AclSchema, await context.pvesh.get(apiPath`/access/acl`));
      const wanted = new Map(
        needsOf(context).map((need) => [roleOf(need), [...need.privileges].sort().join(',')]),
      );
      const actions: Action[] = [];
      for (const [roleid, privs] of wanted) {
        const role = roles.find((each) => each.roleid === roleid);
        if (role !== undefined && (role.privs ?? '').split(',').sort().join(',') === privs) continue;
        const holder = acl.find((entry) => entry.roleid === roleid && entry.ugid.split('!')[0] !== USER);
        if (holder !== undefined)
          throw taken(
            `a role ${roleid} that ${holder.ugid} has`,
            `Rename it, or take it from ${holder.ugid}.`,
          );
        const argv =
          role === undefined
            ? pveshArgv('create', apiPath`/access/roles`, { roleid, privs })
            : pveshArgv('set', apiPath`/access/roles/${roleid}`, { privs });
        actions.push(changing(context, argv));
      }
      const names = [...wanted.keys()].join(', ');
      return {
        detail: actions.length === 0 ? `${names} have exactly what is needed` : `some are not there`,
        actions,
      };
    },
  };
}

function userStep(context: SetupContext): Step {
  return {
    title: `User ${USER}`,
    async find() {
      const user = read(UserSchema, await context.pvesh.get(apiPath`/access/users`)).find(
        ({ userid }) => userid === USER,
      );
      if (user !== undefined && !isOurs(user.comment))
        throw taken(`a user ${USER}`, `Rename it, or write "${MADE_BY_US}" into its comment.`);
      if (user !== undefined) return { detail: 'it is there; it has no password', actions: [] };
      const argv = pveshArgv('create', apiPath`/access/users`, { userid: USER, comment: MADE_BY_US });
      return { detail: 'it is not there', actions: [changing(context, argv)] };
    },
  };
}

function tokenStep(context: SetupContext): Step {
  const { plan, pvesh } = context;
  const path = apiPath`/access/users/${USER}/token/${plan.pool}`;
  const create = pveshArgv('create', path, { privsep: 1, comment: MADE_BY_US });
  const make: Action = {
    line: `${shellLine(create.slice(0, -2))}   # its secret goes to ${tokenFileOf(plan)}`,
    async run() {
      const { value } = read(SecretSchema, parseJson(await pvesh.change(create), path));
      mkdirSync(plan.keyDir, { recursive: true, mode: 0o700 });
      writeFileAtomically(tokenFileOf(plan), `${tokenIdOf(plan)}=${value}\n`);
    },
  };
  return {
    title: `API token ${tokenIdOf(plan)}`,
    async find() {
      // Without its user there can be none, and Proxmox says so with an error.
      const list = await pvesh.find(apiPath`/access/users/${USER}/token`);
      const token =
        list === null ? undefined : read(TokenSchema, list).find(({ tokenid }) => tokenid === plan.pool);
      if (token === undefined) return { detail: 'it is not there', actions: [make] };
      if (!isOurs(token.comment))
        throw taken(`a token ${tokenIdOf(plan)}`, 'Choose another --pool; the token is named after it.');
      if (Number(token.privsep) === 1 && (await isAccepted(context)))
        return { detail: 'it is there, and the API takes it over the pinned certificate', actions: [] };
      return { detail: 'its secret is lost', actions: [changing(context, pveshArgv('delete', path)), make] };
    },
  };
}

/** Whether the API takes the secret on the disk. PROVISIONER_CERTIFICATE_CHANGED where somebody stands between. */
async function isAccepted({ plan, facts, pvesh, clock, signal }: SetupContext): Promise<boolean> {
  if (!existsSync(tokenFileOf(plan))) return false;
  const fingerprint = await readFingerprint(pvesh, facts.nodes.find(({ isLocal }) => isLocal)?.name ?? '');
  const token = readFileSync(tokenFileOf(plan), 'utf8').trim();
  const client = new PveClient({ url: plan.apiUrl, token: () => token, pins: () => [fingerprint], clock });
  try {
    await client.get(pvePath`/version`, signal);
    return true;
  } catch (error) {
    if (error instanceof PveRefusal && error.status === 401) return false;
    if (!isAppError(error, 'PROVISIONER_UNAVAILABLE')) throw error;
    throw new AppError('SETUP_HOST_UNSUITABLE', `The API does not answer at ${plan.apiUrl}.`, {
      remedy: 'Give the address that this machine reaches it at: --api-url https://HOST:8006.',
      cause: error,
    });
  } finally {
    await client.close();
  }
}

/** Both the user and its token get them: a token with privilege separation has what both have. */
function grantsStep(context: SetupContext): Step {
  const holders = [
    { ugid: USER, option: 'users' },
    { ugid: tokenIdOf(context.plan), option: 'tokens' },
  ];
  return {
    title: 'Grants',
    async find() {
      const acl = read(AclSchema, await context.pvesh.get(apiPath`/access/acl`));
      const missing = needsOf(context).flatMap((need) =>
        holders
          .filter(
            ({ ugid }) =>
              !acl.some(
                (entry) => entry.path === need.path && entry.ugid === ugid && entry.roleid === roleOf(need),
              ),
          )
          .map(({ ugid, option }) => ({ path: need.path, roles: roleOf(need), [option]: ugid })),
      );
      const actions = missing.map((grant) =>
        changing(context, pveshArgv('set', apiPath`/access/acl`, grant)),
      );
      const paths = needsOf(context).map(({ path }) => path);
      return { detail: `on ${paths.join(', ')} and nowhere else`, actions };
    },
  };
}
