/** Calls about the version, the cluster, its nodes and their tasks. */
import { demand, may } from '../access/check-permission.ts';
import type { Cluster, ClusterNode } from '../cluster/cluster.ts';
import type { Task } from '../cluster/tasks.ts';
import { parseUpid } from '../cluster/upid.ts';
import { PveError } from '../http/pve-error.ts';
import { Listed } from './listed.ts';
import { NODE, opt, perm, TEXT, VMID, type Call, type Route } from './route.ts';
import { clusterResources } from './cluster-resources.ts';

const LOG_LINES = 50; // What a log answers when nothing else is asked for.
const TASKS_LISTED = 50;

export const CLUSTER_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/version',
    parameters: {},
    permission: { user: 'all' },
    handle: ({ cluster: { version } }) => ({
      version: version.version,
      release: version.release,
      repoid: version.repoid,
    }),
  },
  {
    method: 'GET',
    path: '/cluster/nextid',
    parameters: { vmid: opt(VMID) },
    permission: { user: 'all' },
    handle: ({ cluster, params }) => {
      if (!params.has('vmid')) return String(cluster.nextId());
      const vmid = params.integer('vmid');
      if (cluster.vms.has(vmid)) throw PveError.parameters({ vmid: `VM ${vmid} already exists` });
      return String(vmid);
    },
  },
  {
    method: 'GET',
    path: '/cluster/status',
    parameters: {},
    permission: perm('/', 'Sys.Audit'),
    handle: ({ cluster }) => clusterStatus(cluster),
  },
  {
    method: 'GET',
    path: '/cluster/resources',
    parameters: { type: { type: 'string', optional: true, enum: ['vm', 'storage', 'node', 'sdn'] } },
    permission: {
      user: 'all',
      also: 'VM.Audit on /vms/{vmid}, Datastore.Audit on /storage/{storage}, Pool.Audit on /pool/{pool}: not listed without. Sys.Audit on /nodes/{node}: listed without numbers.',
    },
    handle: (call) => clusterResources(call),
  },
  {
    method: 'GET',
    path: '/nodes',
    parameters: {},
    permission: { user: 'all', also: 'Sys.Audit on /nodes/{node}: listed without numbers.' },
    handle: (call) => [...call.cluster.nodes.values()].map((node) => nodeSummary(call, node)),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/status',
    parameters: { node: NODE },
    permission: perm('/nodes/{node}', 'Sys.Audit'),
    handle: ({ cluster, params }) => nodeStatus(cluster, params.text('node')),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/version',
    parameters: { node: NODE },
    permission: { user: 'all' },
    handle: ({ cluster: { version } }) => ({
      version: version.version,
      release: version.release,
      repoid: version.repoid,
    }),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/network',
    parameters: { node: NODE, type: opt(TEXT) },
    permission: {
      user: 'all',
      also: 'From 8: bridges are not listed without SDN.Audit or SDN.Use on /sdn/zones/localnetwork/{bridge}, other cards not without Sys.Audit on /nodes/{node}.',
    },
    handle: (call) => networks(call),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/tasks',
    parameters: {
      node: NODE,
      limit: { type: 'integer', optional: true, minimum: 0 },
      start: { type: 'integer', optional: true, minimum: 0 },
      vmid: opt(VMID),
      typefilter: opt(TEXT),
      userfilter: opt(TEXT),
      errors: { type: 'boolean', optional: true },
      source: { type: 'string', optional: true, enum: ['archive', 'active', 'all'] },
    },
    permission: { user: 'all', also: 'Sys.Audit on /nodes/{node}: without it only own tasks are listed.' },
    handle: (call) => listTasks(call),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/tasks/{upid}/status',
    parameters: { node: NODE, upid: TEXT },
    permission: { user: 'all', also: 'Sys.Audit on /nodes/{node} for the tasks of others: 403.' },
    handle: (call) => {
      const { cluster } = call;
      const task = taskOf(call);
      if (cluster.clock.monotonic() - task.startedAtMs < cluster.timing.taskUnknownMs) {
        throw PveError.parameters({ upid: 'no such task' });
      }
      return taskStatus(task);
    },
  },
  {
    method: 'GET',
    path: '/nodes/{node}/tasks/{upid}/log',
    parameters: {
      node: NODE,
      upid: TEXT,
      start: { type: 'integer', optional: true, minimum: 0 },
      limit: { type: 'integer', optional: true, minimum: 0 },
    },
    permission: { user: 'all', also: 'Sys.Audit on /nodes/{node} for the tasks of others: 403.' },
    handle: (call) => {
      const { log } = taskOf(call);
      const start = call.params.integerOr('start', 0);
      const limit = call.params.integerOr('limit', LOG_LINES);
      const lines = log
        .map((t, index) => ({ n: index + 1, t }))
        .slice(start, limit === 0 ? undefined : start + limit);
      return new Listed(lines.length === 0 ? [{ n: 1, t: 'no content' }] : lines, Math.max(1, log.length));
    },
  },
  {
    method: 'DELETE',
    path: '/nodes/{node}/tasks/{upid}',
    parameters: { node: NODE, upid: TEXT },
    permission: { user: 'all', also: 'Sys.Modify on /nodes/{node} for the tasks of others: 403.' },
    needsQuorum: false,
    handle: (call) => {
      const task = taskOf(call, 'Sys.Modify');
      if (task.exitstatus === undefined) task.stop();
    },
  },
];

function clusterStatus(cluster: Cluster): unknown[] {
  const nodes = [...cluster.nodes.values()].map((node, index) => ({
    id: `node/${node.name}`,
    type: 'node',
    name: node.name,
    nodeid: node.nodeid,
    ip: node.ip,
    online: Number(node.isOnline),
    local: Number(index === 0),
    level: '',
  }));
  // A node that is alone says nothing about a cluster.
  if (nodes.length === 1) return nodes.map((node) => ({ ...node, nodeid: 0 }));
  const summary = {
    id: 'cluster',
    type: 'cluster',
    name: 'simulated',
    nodes: nodes.length,
    quorate: Number(cluster.isQuorate),
    version: nodes.length,
  };
  return [summary, ...nodes];
}

function nodeSummary(call: Call, node: ClusterNode): Record<string, unknown> {
  const { cluster } = call;
  const basics = {
    node: node.name,
    id: `node/${node.name}`,
    type: 'node',
    status: node.isOnline ? 'online' : 'offline',
    ssl_fingerprint: cluster.fingerprint,
  };
  if (!node.isOnline || !may(call, `/nodes/${node.name}`, ['Sys.Audit'])) return basics;
  return { ...basics, ...nodeNumbers(cluster, node), level: '' };
}

/** What a node has and uses. */
function nodeNumbers(cluster: Cluster, node: ClusterNode): Record<string, number> {
  return {
    cpu: 0.02,
    maxcpu: node.cores,
    mem: usedMemory(cluster, node),
    maxmem: node.memoryBytes,
    disk: 8 * 1024 ** 3,
    maxdisk: 100 * 1024 ** 3,
    uptime: cluster.secondsSince(cluster.startedAtMs) + 86_400,
  };
}

function usedMemory(cluster: Cluster, node: ClusterNode): number {
  const running = [...cluster.vms.values()].filter((vm) => vm.node === node.name && vm.isRunning);
  return running.reduce((sum, vm) => sum + (vm.memoryMb * 1024 ** 2) / 4, 2 * 1024 ** 3);
}

function nodeStatus(cluster: Cluster, name: string): Record<string, unknown> {
  const node = cluster.nodes.get(name);
  if (node === undefined) throw PveError.failed(`no such node '${name}'`);
  const used = usedMemory(cluster, node);
  return {
    uptime: cluster.secondsSince(cluster.startedAtMs) + 86_400,
    cpu: 0.02,
    wait: 0,
    idle: 0,
    loadavg: ['0.10', '0.12', '0.09'],
    cpuinfo: {
      cores: node.cores,
      cpus: node.cores,
      sockets: 1,
      model: 'Simulated CPU',
    },
    memory: {
      total: node.memoryBytes,
      used,
      free: node.memoryBytes - used,
      ...(cluster.version.major >= 9 ? { available: node.memoryBytes - used } : {}),
    },
    swap: { total: 0, used: 0, free: 0 },
    rootfs: { total: 100 * 1024 ** 3, used: 8 * 1024 ** 3, free: 92 * 1024 ** 3, avail: 92 * 1024 ** 3 },
    ksm: { shared: 0 },
    pveversion: `pve-manager/${cluster.version.version}/${cluster.version.repoid}`,
    kversion: 'Linux 6.8.12-1-pve #1 SMP PREEMPT_DYNAMIC',
    'boot-info': { mode: 'efi', secureboot: 0 },
    'current-kernel': {
      sysname: 'Linux',
      release: '6.8.12-1-pve',
      version: '#1 SMP PREEMPT_DYNAMIC',
      machine: 'x86_64',
    },
  };
}

function networks(call: Call): unknown[] {
  const { cluster, params } = call;
  const name = params.text('node');
  const node = cluster.nodes.get(name);
  const isNew = cluster.version.major >= 8;
  const bridges = (node?.bridges ?? [])
    .filter(
      (bridge) => !isNew || may(call, `/sdn/zones/localnetwork/${bridge}`, ['SDN.Audit', 'SDN.Use'], true),
    )
    .map((iface, index) => ({
      iface,
      type: 'bridge',
      active: 1,
      autostart: 1,
      method: index === 0 ? 'static' : 'manual',
      method6: 'manual',
      families: ['inet'],
      priority: index + 4,
      bridge_ports: index === 0 ? 'eno1' : '',
      bridge_stp: 'off',
      bridge_fd: '0',
      ...(index === 0
        ? { address: node?.ip, netmask: '24', cidr: `${node?.ip ?? ''}/24`, gateway: '192.0.2.254' }
        : {}),
    }));
  const cards =
    !isNew || may(call, `/nodes/${name}`, ['Sys.Audit'])
      ? [
          {
            iface: 'eno1',
            type: 'eth',
            active: 1,
            exists: 1,
            method: 'manual',
            method6: 'manual',
            families: ['inet'],
            priority: 3,
          },
        ]
      : [];
  const all = [...cards, ...bridges];
  const type = params.textOr('type');
  return type === undefined
    ? all
    : all.filter((each) => each.type === type || (type.startsWith('any') && each.type === 'bridge'));
}

function isOwner({ authId }: Call, task: Task): boolean {
  const owner = task.tokenid === undefined ? task.user : `${task.user}!${task.tokenid}`;
  return owner === authId || task.user === authId;
}

function taskOf(call: Call, privilege = 'Sys.Audit'): Task {
  const { cluster, params } = call;
  const upid = params.text('upid');
  const node = params.text('node');
  const parts = parseUpid(upid);
  if (parts === null) throw PveError.parameters({ upid: `unable to parse worker upid` });
  if (parts.node !== node) throw PveError.parameters({ upid: 'no such task' });
  const task = cluster.tasks.get(upid);
  if (task === undefined) throw PveError.parameters({ upid: 'no such task' });
  if (!isOwner(call, task)) demand(call, `/nodes/${node}`, [privilege]);
  return task;
}

function taskStatus(task: Task): Record<string, unknown> {
  return {
    upid: task.upid,
    node: task.node,
    pid: task.pid,
    pstart: task.pstart,
    starttime: task.starttime,
    type: task.type,
    id: task.id,
    user: task.user,
    ...(task.tokenid === undefined ? {} : { tokenid: task.tokenid }),
    status: task.exitstatus === undefined ? 'running' : 'stopped',
    ...(task.exitstatus === undefined ? {} : { exitstatus: task.exitstatus }),
  };
}

function listTasks(call: Call): Listed {
  const { cluster, params } = call;
  const node = params.text('node');
  const maySeeAll = may(call, `/nodes/${node}`, ['Sys.Audit']);
  const source = params.textOr('source') ?? 'archive';
  const found = cluster.tasks
    .list()
    .filter(
      (task) =>
        task.node === node &&
        (maySeeAll || isOwner(call, task)) &&
        (source === 'all' || (source === 'active') === (task.exitstatus === undefined)) &&
        (!params.has('vmid') || task.id === params.text('vmid')) &&
        (!params.has('typefilter') || task.type === params.text('typefilter')) &&
        (!params.has('userfilter') || task.user.includes(params.text('userfilter'))) &&
        (!params.flag('errors') || (task.exitstatus !== undefined && task.exitstatus !== 'OK')),
    );
  const start = params.integerOr('start', 0);
  const page = found.slice(start, start + params.integerOr('limit', TASKS_LISTED));
  return new Listed(
    page.map((task) => ({
      upid: task.upid,
      node: task.node,
      pid: task.pid,
      pstart: task.pstart,
      starttime: task.starttime,
      type: task.type,
      id: task.id,
      user: task.tokenid === undefined ? task.user : `${task.user}!${task.tokenid}`,
      ...(task.endtime === undefined ? {} : { endtime: task.endtime }),
      ...(task.exitstatus === undefined ? {} : { status: task.exitstatus }),
    })),
    found.length,
  );
}
