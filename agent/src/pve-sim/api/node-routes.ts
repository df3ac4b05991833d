/** Calls about one node: its state, version, networks, certificate, name servers and clock. */
import { may } from '../access/check-permission.ts';
import type { Cluster, ClusterNode } from '../cluster/cluster.ts';
import { PveError } from '../http/pve-error.ts';
import { NODE, opt, perm, TEXT, type Call, type Route } from './route.ts';

export const NODE_ROUTES: readonly Route[] = [
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
    path: '/nodes/{node}/certificates/info',
    parameters: { node: NODE },
    permission: { user: 'all' },
    handle: ({ cluster }) => [
      {
        filename: 'pve-root-ca.pem',
        fingerprint: cluster.rootFingerprint,
        subject: '/CN=Proxmox Virtual Environment',
        issuer: '/CN=Proxmox Virtual Environment',
        san: [],
      },
      {
        filename: 'pve-ssl.pem',
        fingerprint: cluster.fingerprint,
        subject: '/CN=simulated',
        issuer: '/CN=simulated',
        san: [...cluster.nodes.keys()],
      },
    ],
  },
  {
    method: 'GET',
    path: '/nodes/{node}/dns',
    parameters: { node: NODE },
    permission: perm('/nodes/{node}', 'Sys.Audit'),
    handle: () => ({ search: 'example.org', dns1: '192.0.2.53' }),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/time',
    parameters: { node: NODE },
    permission: perm('/nodes/{node}', 'Sys.Audit'),
    handle: ({ cluster }) => ({ timezone: 'UTC', time: cluster.nowSeconds, localtime: cluster.nowSeconds }),
  },
];

/** What the node and its VMs take. */
export function usedMemory(cluster: Cluster, node: ClusterNode): number {
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
