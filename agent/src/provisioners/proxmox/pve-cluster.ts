/** What the driver reads of a cluster, checked and in its own words. */
import { Type, type Static, type TSchema } from 'typebox';
import Value from 'typebox/value';
import { AppError } from '@dc/shared/errors';
import { PveRefusal, type PveClient } from './pve-client.ts';
import { pvePath } from './pve-path.ts';

const ResourceSchema = Type.Object({
  type: Type.String(),
  node: Type.Optional(Type.String()),
  status: Type.Optional(Type.String()),
  vmid: Type.Optional(Type.Integer()),
  name: Type.Optional(Type.String()),
  template: Type.Optional(Type.Integer()),
  tags: Type.Optional(Type.String()),
  lock: Type.Optional(Type.String()),
  pool: Type.Optional(Type.String()),
  maxcpu: Type.Optional(Type.Number()),
  maxmem: Type.Optional(Type.Number()),
  disk: Type.Optional(Type.Number()),
  maxdisk: Type.Optional(Type.Number()),
  storage: Type.Optional(Type.String()),
  shared: Type.Optional(Type.Integer()),
  content: Type.Optional(Type.String()),
});

/** One line of /cluster/resources. */
export type PveResource = Static<typeof ResourceSchema>;

/** A guest of the cluster. */
export interface PveVm extends PveResource {
  readonly vmid: number;
  readonly node: string;
}

/** Everything there is, as far as we may see it. */
export interface PveResources {
  /** QEMU's VMs; templates are apart. */
  readonly vms: readonly PveVm[];
  readonly templates: readonly PveVm[];
  /** VMIDs of all guests that are seen, containers too. */
  readonly takenVmids: ReadonlySet<number>;
  readonly nodes: readonly PveResource[];
  readonly storages: readonly PveResource[];
}

const ConfigSchema = Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()]));
const StatusSchema = Type.Object({ status: Type.String() });
const ClusterStatusSchema = Type.Array(
  Type.Object({
    type: Type.String(),
    quorate: Type.Optional(Type.Integer()),
    online: Type.Optional(Type.Integer()),
  }),
);
const PermissionsSchema = Type.Record(Type.String(), Type.Record(Type.String(), Type.Integer()));
const CertificatesSchema = Type.Array(
  Type.Object({ filename: Type.Optional(Type.String()), fingerprint: Type.Optional(Type.String()) }),
);
const RolesSchema = Type.Array(Type.Object({ roleid: Type.String(), privs: Type.Optional(Type.String()) }));
const VersionSchema = Type.Object({ version: Type.String() });
const FeatureSchema = Type.Object({ hasFeature: Type.Union([Type.Integer(), Type.Boolean()]) });

/** A VM's configuration: its settings by name. */
export type VmConfig = Readonly<Record<string, string>>;

/** Privileges by path. */
export type Permissions = Readonly<Record<string, Readonly<Record<string, number>>>>;

export class PveCluster {
  readonly client: PveClient;

  constructor(client: PveClient) {
    this.client = client;
  }

  /** Everything, in one call whatever the number of VMs. */
  async resources(signal: AbortSignal): Promise<PveResources> {
    const all = read(Type.Array(ResourceSchema), await this.client.get(pvePath`/cluster/resources`, signal));
    const guests = all.filter((each) => each.vmid !== undefined);
    const vms = guests.filter(
      (each): each is PveVm => each.type === 'qemu' && each.node !== undefined && each.vmid !== undefined,
    );
    return {
      vms: vms.filter(({ template }) => template !== 1),
      templates: vms.filter(({ template }) => template === 1),
      takenVmids: new Set(guests.flatMap(({ vmid }) => vmid ?? [])),
      nodes: all.filter(({ type }) => type === 'node'),
      storages: all.filter(({ type }) => type === 'storage'),
    };
  }

  /** The configuration, with what waits for the next start. Throws the PveRefusal where it is not to be had. */
  async config(node: string, vmid: number, signal: AbortSignal): Promise<VmConfig> {
    const config = read(
      ConfigSchema,
      await this.client.get(pvePath`/nodes/${node}/qemu/${vmid}/config`, signal),
    );
    return Object.fromEntries(Object.entries(config).map(([key, value]) => [key, String(value)]));
  }

  /** What the VM does now: on, or off. */
  async power(node: string, vmid: number, signal: AbortSignal): Promise<'running' | 'stopped'> {
    const path = pvePath`/nodes/${node}/qemu/${vmid}/status/current`;
    const { status } = read(StatusSchema, await this.client.get(path, signal));
    return status === 'running' ? 'running' : 'stopped';
  }

  /** Whether most of the cluster's nodes agree: what is read without them may be old, and nothing can be changed. */
  async isQuorate(signal: AbortSignal): Promise<boolean> {
    const lines = read(ClusterStatusSchema, await this.client.get(pvePath`/cluster/status`, signal));
    const cluster = lines.find(({ type }) => type === 'cluster');
    // A node that is alone has no such line.
    return cluster === undefined ? lines.length > 0 : cluster.quorate === 1;
  }

  /**
   * Whether no guest of the whole cluster has this VMID. Unlike lists this is not filtered by privileges: Proxmox
   * answers the VMID itself where it is free and 400 where it is taken.
   */
  async isVmidFree(vmid: number, signal: AbortSignal): Promise<boolean> {
    try {
      return Number(await this.client.get(pvePath`/cluster/nextid`, signal, { vmid })) === vmid;
    } catch (error) {
      if (error instanceof PveRefusal && error.status === 400) return false;
      throw error;
    }
  }

  /** The fingerprint of the cluster's own authority, which outlives each node's certificate; null where it has none. */
  async rootFingerprint(node: string, signal: AbortSignal): Promise<string | null> {
    const path = pvePath`/nodes/${node}/certificates/info`;
    const certificates = read(CertificatesSchema, await this.client.get(path, signal));
    return certificates.find(({ filename }) => filename === 'pve-root-ca.pem')?.fingerprint ?? null;
  }

  /** What the token itself may do: at one path, or at all that have an entry. */
  async permissions(signal: AbortSignal, path?: string): Promise<Permissions> {
    return read(PermissionsSchema, await this.client.get(pvePath`/access/permissions`, signal, { path }));
  }

  /** All roles with their privileges, which everybody who is known may read. */
  async roles(signal: AbortSignal): Promise<Map<string, ReadonlySet<string>>> {
    const roles = read(RolesSchema, await this.client.get(pvePath`/access/roles`, signal));
    return new Map(
      roles.map(({ roleid, privs }) => [roleid, new Set((privs ?? '').split(',').filter(Boolean))]),
    );
  }

  /** `8.4.1` → 8. */
  async major(signal: AbortSignal): Promise<number> {
    const { version } = read(VersionSchema, await this.client.get(pvePath`/version`, signal));
    return Number.parseInt(version, 10);
  }

  /** Whether all disks of a template can be cloned by reference. */
  async canLink({ node, vmid }: PveVm, signal: AbortSignal): Promise<boolean> {
    const path = pvePath`/nodes/${node}/qemu/${vmid}/feature`;
    const answer = read(FeatureSchema, await this.client.get(path, signal, { feature: 'clone' }));
    return Boolean(answer.hasFeature);
  }
}

/** Throws PROVISIONER_UNAVAILABLE for an answer that is not one of Proxmox. */
function read<T extends TSchema>(schema: T, answer: unknown): Static<T> {
  if (Value.Check(schema, answer)) return answer;
  throw new AppError('PROVISIONER_UNAVAILABLE', 'Proxmox answered something that cannot be read.', {
    cause: Value.Errors(schema, answer)[0],
  });
}
