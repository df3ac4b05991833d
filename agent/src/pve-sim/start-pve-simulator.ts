/** Puts a simulator together and starts it. The way in for tests; `main.ts` is the way in from the command line. */
import { AccessControl } from './access/access-control.ts';
import { Authenticator } from './access/authenticate.ts';
import { VERSIONS } from './access/privileges.ts';
import { accessRoutes } from './api/access-routes.ts';
import { AGENT_ROUTES } from './api/agent-routes.ts';
import { answerRequest } from './api/answer-request.ts';
import { CLUSTER_ROUTES } from './api/cluster-routes.ts';
import { POOL_ROUTES } from './api/pool-routes.ts';
import { QEMU_ROUTES } from './api/qemu-routes.ts';
import { RouteTable } from './api/route-table.ts';
import { STORAGE_ROUTES } from './api/storage-routes.ts';
import { Cluster, type ClusterNode } from './cluster/cluster.ts';
import { Storages } from './cluster/storages.ts';
import { Tasks } from './cluster/tasks.ts';
import { QUICK } from './cluster/timing.ts';
import type { Vm } from './cluster/vm.ts';
import { SimulatedGuests } from './guests/simulated-guests.ts';
import { ApiServer } from './http/api-server.ts';
import { makeCertificate, type Certificate } from './http/certificate.ts';
import { SimulatorControl } from './simulator-control.ts';
import type { NodeOptions, PveSimulatorOptions } from './simulator-options.ts';

const HOST = '127.0.0.1';
const NODE_MEMORY_BYTES = 64 * 1024 ** 3;

/** A simulator that is running. */
export interface PveSimulator {
  /** `https://127.0.0.1:port`. */
  readonly url: string;
  /** SHA-256 of the certificate, upper-case hex pairs with colons. */
  readonly fingerprint: string;
  /** The certificate itself. */
  readonly certPem: string;
  /** A token that may do everything: `root@pam!sim=secret`, as it stands in the header after `PVEAPIToken=`. */
  readonly rootToken: string;
  /** Everything inside, to be set up, looked at and broken. */
  readonly control: SimulatorControl;
  /** Ends all that runs in it. Idempotent. */
  close(): Promise<void>;
}

/** Starts a simulator. Rejects where its port is taken, or an option says something impossible. */
export async function startPveSimulator(options: PveSimulatorOptions): Promise<PveSimulator> {
  const { clock, random } = options;
  const version = VERSIONS[options.version ?? '8.4'];
  if (version === undefined)
    throw new Error(
      `There is no version ${options.version ?? ''}; there are ${Object.keys(VERSIONS).join(', ')}.`,
    );
  const vms = new Map<number, Vm>();
  const timing = { ...QUICK, ...options.timing };
  const nodes = nodesOf(options.nodes ?? 1);
  const access = new AccessControl(version, (path) => {
    const vmid = /^\/vms\/(\d+)$/.exec(path)?.[1];
    if (vmid !== undefined) return vms.get(Number(vmid))?.pool;
    const storage = /^\/storage\/([^/]+)$/.exec(path)?.[1];
    return storage === undefined ? undefined : [...pools].find(([, pool]) => pool.storages.has(storage))?.[0];
  });
  const pools: Cluster['pools'] = new Map();
  const guests =
    options.guests ??
    new SimulatedGuests({
      clock,
      random,
      timing,
      sshPort: options.guestSshPort ?? 2_222,
      addressOffset: Buffer.from(random.bytes(4)).readUInt32BE(),
      behaviourOf: options.behaviourOf ?? (() => ({})),
      onLease: options.onLease ?? (() => {}),
    });
  const tasks = new Tasks(clock, (_run, work) => work());
  const storages = new Storages(
    options.storages ?? [
      { storage: 'local', type: 'dir' },
      { storage: 'local-lvm', type: 'lvmthin' },
    ],
    clock,
  );
  const cluster = new Cluster({
    clock,
    random,
    version,
    timing,
    nodes,
    storages,
    access,
    tasks,
    guests,
    pools,
    vms,
  });
  const authenticator = new Authenticator(access, random.bytes(32), () => cluster.nowSeconds);
  const routes = new RouteTable(
    [
      ...CLUSTER_ROUTES,
      ...STORAGE_ROUTES,
      ...QEMU_ROUTES,
      ...AGENT_ROUTES,
      ...accessRoutes(authenticator),
      ...POOL_ROUTES,
    ],
    version.major,
  );
  const newCertificate = (): Certificate =>
    makeCertificate([...cluster.nodes.keys(), 'localhost', HOST], clock.now(), random);
  let certificate = newCertificate();
  const server = await ApiServer.listen(HOST, options.port ?? 0, certificate, (request) =>
    answerRequest({ cluster, authenticator, routes, observe: () => {} }, request),
  );
  const show = (next: Certificate): void => {
    certificate = next;
    cluster.fingerprint = next.fingerprint;
    server.showCertificate(next);
  };
  cluster.fingerprint = certificate.fingerprint;
  const control = new SimulatorControl(cluster, () => show(newCertificate()));
  const rootToken = control.addToken('root@pam', 'sim', { privsep: false });
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await server.close();
    await tasks.close();
    await guests.close();
  };
  return {
    url: `https://${HOST}:${server.port}`,
    get fingerprint() {
      return certificate.fingerprint;
    },
    get certPem() {
      return certificate.certPem;
    },
    rootToken,
    control,
    close: () => (closing ??= close()),
  };
}

function nodesOf(nodes: number | readonly NodeOptions[]): ClusterNode[] {
  const list =
    typeof nodes === 'number'
      ? Array.from({ length: nodes }, (_, index): NodeOptions => ({ name: `pve${index + 1}` }))
      : nodes;
  return list.map(({ name, cores = 16, memoryBytes = NODE_MEMORY_BYTES, bridges = ['vmbr0'] }, index) => ({
    name,
    nodeid: index + 1,
    ip: `192.0.2.${index + 11}`,
    cores,
    memoryBytes,
    bridges,
    isOnline: true,
  }));
}
