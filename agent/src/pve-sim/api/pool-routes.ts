/** Calls about pools. */
import { demand, may } from '../access/check-permission.ts';
import type { Cluster, Pool } from '../cluster/cluster.ts';
import { PveError } from '../http/pve-error.ts';
import { FLAG, opt, perm, POOL, TEXT, type Call, type Route } from './route.ts';
import { vmSummary } from './vm-status.ts';

const CHANGES = { comment: opt(TEXT), vms: opt(TEXT), storage: opt(TEXT), delete: FLAG };
const MEMBERS =
  'VM.Audit / Datastore.Audit: members are shown with all that the pool knows. To add or remove: Permissions.Modify on the member, 403.';

export const POOL_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/pools',
    parameters: { poolid: { ...opt(POOL), since: 8 }, type: { ...opt(TEXT), since: 8 } },
    permission: { user: 'all', also: 'Pool.Audit on /pool/{poolid}: not listed without.' },
    handle: (call) =>
      [...call.cluster.pools]
        .filter(
          ([poolid]) =>
            may(call, `/pool/${poolid}`, ['Pool.Audit']) &&
            (!call.params.has('poolid') || poolid === call.params.text('poolid')),
        )
        .map(([poolid, pool]) => ({ poolid, comment: pool.comment })),
  },
  {
    method: 'POST',
    path: '/pools',
    parameters: { poolid: POOL, comment: opt(TEXT) },
    permission: perm('/pool/{poolid}', 'Pool.Allocate'),
    handle: ({ cluster, params }) => {
      const poolid = params.text('poolid');
      if (cluster.pools.has(poolid))
        throw PveError.failed(`create pool failed: pool '${poolid}' already exists`);
      cluster.pools.set(poolid, { comment: params.textOr('comment') ?? '', storages: new Set() });
    },
  },
  {
    method: 'GET',
    path: '/pools/{poolid}',
    parameters: { poolid: POOL, type: opt(TEXT) },
    permission: perm('/pool/{poolid}', 'Pool.Audit'),
    handle: ({ cluster, params }) => {
      const pool = poolOf(cluster, params.text('poolid'));
      return { comment: pool.comment, members: members(cluster, params.text('poolid'), pool) };
    },
  },
  {
    method: 'PUT',
    path: '/pools/{poolid}',
    parameters: { poolid: POOL, ...CHANGES },
    permission: { ...perm('/pool/{poolid}', 'Pool.Allocate'), also: MEMBERS },
    handle: (call) => changePool(call),
  },
  {
    method: 'PUT',
    path: '/pools',
    since: 8,
    parameters: { poolid: POOL, ...CHANGES, 'allow-move': FLAG },
    permission: { ...perm('/pool/{poolid}', 'Pool.Allocate'), also: MEMBERS },
    handle: (call) => changePool(call),
  },
  {
    method: 'DELETE',
    path: '/pools/{poolid}',
    parameters: { poolid: POOL },
    permission: perm('/pool/{poolid}', 'Pool.Allocate'),
    handle: ({ cluster, params }) => {
      const poolid = params.text('poolid');
      const pool = poolOf(cluster, poolid);
      if (members(cluster, poolid, pool).length > 0)
        throw PveError.failed(`delete pool failed: pool '${poolid}' is not empty`);
      cluster.pools.delete(poolid);
    },
  },
];

function poolOf(cluster: Cluster, poolid: string): Pool {
  const pool = cluster.pools.get(poolid);
  if (pool === undefined) throw PveError.failed(`pool '${poolid}' does not exist`);
  return pool;
}

function members(cluster: Cluster, poolid: string, pool: Pool): Record<string, unknown>[] {
  const vms = [...cluster.vms.values()]
    .filter((vm) => vm.pool === poolid)
    .map((vm) => {
      const { status, name, maxmem, maxdisk, uptime, mem, cpu, tags } = vmSummary(cluster, vm);
      return {
        id: `qemu/${vm.vmid}`,
        type: 'qemu',
        vmid: vm.vmid,
        node: vm.node,
        status,
        name,
        maxmem,
        maxdisk,
        uptime,
        mem,
        cpu,
        template: Number(vm.isTemplate),
        ...(tags === undefined ? {} : { tags }),
      };
    });
  const node = [...cluster.nodes.keys()][0];
  const storages = [...pool.storages].map((storage) => ({
    id: `storage/${node ?? ''}/${storage}`,
    type: 'storage',
    storage,
    node,
    status: 'available',
  }));
  return [...vms, ...storages];
}

function changePool(call: Call): void {
  const { cluster, params } = call;
  const poolid = params.text('poolid');
  const pool = poolOf(cluster, poolid);
  const list = (name: string): string[] =>
    (params.textOr(name) ?? '').split(/[,; ]+/).filter((each) => each !== '');
  const removes = params.flag('delete');
  for (const text of list('vms')) {
    demand(call, `/vms/${text}`, ['Permissions.Modify']);
    const vm = cluster.vms.get(Number(text));
    if (vm === undefined) throw PveError.failed(`VM ${text} does not exist`);
    if (!removes && vm.pool !== undefined && vm.pool !== poolid && !params.flag('allow-move')) {
      throw PveError.failed(
        `update pool failed: VM ${text} belongs already to pool '${vm.pool}' and 'allow-move' is not set`,
      );
    }
    vm.pool = removes ? undefined : poolid;
  }
  for (const storage of list('storage')) {
    demand(call, `/storage/${storage}`, ['Permissions.Modify']);
    if (removes) pool.storages.delete(storage);
    else pool.storages.add(storage);
  }
  pool.comment = params.textOr('comment') ?? pool.comment;
}
