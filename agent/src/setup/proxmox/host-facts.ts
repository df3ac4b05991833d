/** What a Proxmox VE host says about itself and its cluster: what the questions offer, and what must be right first. */
import { Type, type Static, type TSchema } from 'typebox';
import Value from 'typebox/value';
import { AppError } from '@dc/shared/errors';
import { apiPath, type Pvesh } from './pvesh.ts';

/** `import-from` came with 7.2; nothing before 7.4 is tried. Newer majors change privileges and parameters. */
const MINOR_MIN_OF_7 = 4;
const MAJOR_MAX = 9;

const VersionSchema = Type.Object({ version: Type.String() });
const StatusSchema = Type.Array(
  Type.Object({
    type: Type.String(),
    name: Type.Optional(Type.String()),
    ip: Type.Optional(Type.String()),
    online: Type.Optional(Type.Integer()),
    local: Type.Optional(Type.Integer()),
    quorate: Type.Optional(Type.Integer()),
  }),
);
const StorageSchema = Type.Array(
  Type.Object({
    storage: Type.String(),
    type: Type.String(),
    content: Type.String(),
    active: Type.Optional(Type.Integer()),
    avail: Type.Optional(Type.Number()),
    shared: Type.Optional(Type.Integer()),
  }),
);
const NetworkSchema = Type.Array(
  Type.Object({
    iface: Type.String(),
    cidr: Type.Optional(Type.String()),
    comments: Type.Optional(Type.String()),
  }),
);
const GuestSchema = Type.Array(
  Type.Object({
    vmid: Type.Optional(Type.Integer()),
    name: Type.Optional(Type.String()),
    node: Type.Optional(Type.String()),
    pool: Type.Optional(Type.String()),
    template: Type.Optional(Type.Integer()),
    type: Type.Optional(Type.String()),
  }),
);
const CertificateSchema = Type.Array(
  Type.Object({ filename: Type.Optional(Type.String()), fingerprint: Type.Optional(Type.String()) }),
);

/** One node of the cluster. */
export interface ClusterNode {
  readonly name: string;
  /** Where the other nodes reach it; null where the cluster does not say. */
  readonly ip: string | null;
  readonly isOnline: boolean;
  /** The one that the commands run on. */
  readonly isLocal: boolean;
}

/** A storage as one node sees it. */
export interface StorageFact {
  readonly storage: string;
  readonly type: string;
  readonly content: readonly string[];
  readonly availableBytes: number;
}

/** What a node has. */
export interface NodeFacts {
  readonly storages: readonly StorageFact[];
  readonly bridges: readonly { readonly name: string; readonly about: string }[];
}

/** What the cluster is. */
export interface HostFacts {
  readonly version: string;
  readonly major: number;
  readonly nodes: readonly ClusterNode[];
  /** Of the nodes that are online. */
  readonly of: ReadonlyMap<string, NodeFacts>;
}

/** A guest of the cluster, or a template. */
export interface Guest {
  readonly vmid: number;
  readonly name: string;
  readonly node: string;
  readonly pool: string | null;
  readonly isTemplate: boolean;
  readonly isContainer: boolean;
}

/** Reads everything. SETUP_HOST_UNSUITABLE where the version is none that we know, or the cluster has no quorum. */
export async function readHostFacts(pvesh: Pvesh): Promise<HostFacts> {
  const { version } = read(VersionSchema, await pvesh.get(apiPath`/version`));
  const major = assertVersion(version);
  const status = read(StatusSchema, await pvesh.get(apiPath`/cluster/status`));
  if (status.find(({ type }) => type === 'cluster')?.quorate === 0)
    throw new AppError(
      'SETUP_HOST_UNSUITABLE',
      'The cluster has no quorum: nothing can be changed on it now.',
      {
        remedy: 'See pvecm status. Bring the missing nodes back, then run this again.',
      },
    );
  const nodes = status
    .filter((line) => line.type === 'node')
    .map((line) => ({
      name: line.name ?? '',
      ip: line.ip ?? null,
      isOnline: line.online !== 0,
      isLocal: line.local === 1,
    }));
  const of = new Map<string, NodeFacts>();
  for (const { name, isOnline } of nodes) if (isOnline) of.set(name, await readNode(pvesh, name));
  return { version, major, nodes, of };
}

function assertVersion(version: string): number {
  const [major = 0, minor = 0] = version.split(/[.-]/).map(Number);
  const isKnown = major > 7 ? major <= MAJOR_MAX : major === 7 && minor >= MINOR_MIN_OF_7;
  if (isKnown) return major;
  throw new AppError(
    'SETUP_HOST_UNSUITABLE',
    `This is Proxmox VE ${version}; set-up knows 7.4 to ${MAJOR_MAX}.`,
    {
      remedy: major > MAJOR_MAX ? 'Update dc-agent.' : 'Upgrade Proxmox VE.',
    },
  );
}

async function readNode(pvesh: Pvesh, node: string): Promise<NodeFacts> {
  const storages = read(StorageSchema, await pvesh.get(apiPath`/nodes/${node}/storage`, { enabled: 1 }));
  const bridges = read(
    NetworkSchema,
    await pvesh.get(apiPath`/nodes/${node}/network`, { type: 'any_bridge' }),
  );
  return {
    storages: storages
      .filter(({ active }) => active !== 0)
      .map(({ storage, type, content, avail }) => ({
        storage,
        type,
        content: content.split(','),
        availableBytes: avail ?? 0,
      })),
    bridges: bridges.map(({ iface, cidr, comments }) => ({
      name: iface,
      about: [cidr, comments?.trim()].filter((each) => each !== undefined && each !== '').join(' '),
    })),
  };
}

/** Every guest of the cluster. */
export async function readGuests(pvesh: Pvesh): Promise<Guest[]> {
  const all = read(GuestSchema, await pvesh.get(apiPath`/cluster/resources`, { type: 'vm' }));
  return all.flatMap(({ vmid, name, node, pool, template, type }) =>
    vmid === undefined || node === undefined
      ? []
      : [
          {
            vmid,
            node,
            name: name ?? '',
            pool: pool ?? null,
            isTemplate: template === 1,
            isContainer: type === 'lxc',
          },
        ],
  );
}

/** The fingerprint of the certificate that a node's API shows: the operator's own where there is one. */
export async function readFingerprint(pvesh: Pvesh, node: string): Promise<string> {
  const all = read(CertificateSchema, await pvesh.get(apiPath`/nodes/${node}/certificates/info`));
  const named = (name: string): string | undefined =>
    all.find(({ filename }) => filename === name)?.fingerprint;
  const found = named('pveproxy-ssl.pem') ?? named('pve-ssl.pem');
  if (found === undefined)
    throw new AppError('SETUP_HOST_UNSUITABLE', `${node} does not say which certificate its API shows.`);
  return found;
}

/** Throws SETUP_STEP_FAILED for an answer that is not Proxmox's. */
export function read<T extends TSchema>(schema: T, answer: unknown): Static<T> {
  if (Value.Check(schema, answer)) return answer;
  throw new AppError('SETUP_STEP_FAILED', 'Proxmox answered something that cannot be read.', {
    cause: Value.Errors(schema, answer)[0],
  });
}
