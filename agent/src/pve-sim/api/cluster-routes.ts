/** Calls about the version, the cluster, and which nodes it has. */
import { may } from '../access/check-permission.ts';
import type { Cluster, ClusterNode } from '../cluster/cluster.ts';
import { PveError } from '../http/pve-error.ts';
import { clusterResources } from './cluster-resources.ts';
import { usedMemory } from './node-routes.ts';
import { opt, perm, VMID, type Call, type Route } from './route.ts';

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
