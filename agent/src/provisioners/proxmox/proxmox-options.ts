/** What the configuration may say about the `proxmox` driver, and what is wrong with it beyond types. */
import { isIPv4 } from 'node:net';
import { Type, type Static } from 'typebox';
import type { FieldProblem } from '@dc/shared/errors';
import { contains, ipv4Number, parseNetwork, type Network } from './ipv4.ts';

const VMID_MAX = 999_999_999;
const Vmid = (description: string) => Type.Integer({ minimum: 100, maximum: VMID_MAX, description });
const Port = Type.Integer({ minimum: 1, maximum: 65_535 });
const Ipv4 = Type.String({ pattern: '^[0-9]{1,3}([.][0-9]{1,3}){3}$' });
/** 32 bytes in hex with colons, as `openssl x509 -fingerprint -sha256` prints them. */
const FINGERPRINT = '^([0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}$';

/** The options as they stand in the TOML file. */
export const ProxmoxOptionsSchema = Type.Object(
  {
    url: Type.String({
      pattern: '^https://[^/?#@]+$',
      description: 'One node of the cluster, as https://host:8006.',
    }),
    token_file: Type.String({
      minLength: 1,
      description: 'The file with the API token, user@realm!name=secret. Only its owner may read it.',
    }),
    fingerprint: Type.Optional(
      Type.String({
        pattern: FINGERPRINT,
        description: 'SHA-256 of the certificate that is trusted, as AB:CD:…; nothing else is.',
      }),
    ),
    certificate_file: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'Where the agent runs on the host: the certificate itself, which follows each renewal (/etc/pve/local/pve-ssl.pem).',
      }),
    ),
    pool: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9._-]+$',
        description: 'The resource pool that VMs are made in; the token needs its privileges only there.',
      }),
    ),
    vmid_first: Vmid('The first VMID that is this agent’s own.'),
    vmid_last: Vmid('The last of them.'),
    nodes: Type.Optional(
      Type.Array(Type.String({ pattern: '^[A-Za-z0-9-]+$' }), {
        minItems: 1,
        description: 'The nodes to build on. Default: every node with a template.',
      }),
    ),
    templates: Type.Optional(
      Type.Record(Type.String(), Type.String({ minLength: 1 }), {
        description:
          'The name of the template for an operating system, where it is not the operating system’s own. A template of that name is looked for on each node.',
      }),
    ),
    clone: Type.Optional(
      Type.Union([Type.Literal('auto'), Type.Literal('full')], {
        description: 'auto (default): linked where the template’s storage can, else full.',
      }),
    ),
    storage: Type.Optional(
      Type.String({ pattern: '^[A-Za-z][A-Za-z0-9._-]*$', description: 'Where full clones go.' }),
    ),
    bridge: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z][A-Za-z0-9_.]{0,14}$',
        description: 'The bridge of net0. Default: the template’s.',
      }),
    ),
    user: Type.Optional(
      Type.String({ pattern: '^[a-z][a-z0-9_-]{0,31}$', description: 'Who the renter is. Default renter.' }),
    ),
    ssh_port: Type.Optional(Port),
    guest_networks: Type.Optional(
      Type.Array(Type.String({ pattern: '^[0-9.]+/[0-9]{1,2}$' }), {
        minItems: 1,
        description:
          'The networks that guests have their addresses in. Default: every address that is neither loopback nor link-local.',
      }),
    ),
    addresses: Type.Optional(
      Type.Object(
        {
          first: Ipv4,
          last: Ipv4,
          prefix: Type.Integer({ minimum: 8, maximum: 31 }),
          gateway: Ipv4,
        },
        {
          additionalProperties: false,
          description:
            'A range of addresses that is this agent’s own: guests get theirs from it. Default: by DHCP.',
        },
      ),
    ),
    ready_timeout_s: Type.Optional(
      Type.Integer({
        minimum: 10,
        maximum: 3_600,
        description: 'How long a guest may take to its first login. Default 300.',
      }),
    ),
    neighbours_file: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'The table of the addresses that this machine has seen. Default /proc/net/arp.',
      }),
    ),
    capacity: Type.Optional(
      Type.Object(
        {
          cpu: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
          instances: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
          memory_reserve_mb: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000_000 })),
          disk_reserve_percent: Type.Optional(Type.Integer({ minimum: 0, maximum: 90 })),
        },
        {
          additionalProperties: false,
          description:
            'What to sell at most, and what to leave to the host. Default: all virtual CPUs of the nodes, 2,048 MB for each node, 15 % of each storage.',
        },
      ),
    ),
  },
  { additionalProperties: false },
);

export type ProxmoxOptions = Static<typeof ProxmoxOptionsSchema>;

/** Addresses that guests get from us. */
export interface StaticAddresses {
  /** 32-bit numbers. */
  readonly first: number;
  readonly last: number;
  readonly bits: number;
  readonly gateway: string;
}

/** The options with every gap filled. */
export interface ProxmoxSettings {
  readonly vmids: { readonly first: number; readonly last: number };
  readonly pool: string | null;
  readonly nodes: readonly string[] | null;
  readonly templateOf: (operatingSystem: string) => string;
  readonly fullOnly: boolean;
  readonly storage: string | null;
  readonly bridge: string | null;
  readonly user: string;
  readonly sshPort: number;
  readonly networks: readonly Network[] | null;
  readonly addresses: StaticAddresses | null;
  readonly readyTimeoutMs: number;
  readonly neighboursFile: string;
  readonly capacity: {
    readonly cpu: number | null;
    readonly instances: number | null;
    readonly memoryReserveMb: number;
    readonly diskReserveShare: number;
  };
}

/** What is wrong with the options beyond their types. Empty when nothing is. */
export function problemsOfProxmoxOptions(options: ProxmoxOptions): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const add = (pointer: string, detail: string): number => problems.push({ pointer, detail });
  if (!URL.canParse(options.url)) add('/url', 'this is no address: write https://host:8006');
  if (options.vmid_first > options.vmid_last) add('/vmid_last', 'vmid_last is below vmid_first');
  if (options.fingerprint === undefined && options.certificate_file === undefined)
    add('/fingerprint', 'fingerprint or certificate_file must say which certificate is trusted');
  for (const [index, text] of (options.guest_networks ?? []).entries())
    if (parseNetwork(text) === null) add(`/guest_networks/${index}`, 'write it as 192.0.2.0/24');
  return [...problems, ...problemsOfAddresses(options)];
}

/** A range lies in one network with its gateway, which is not in the range, and where guests are allowed to be. */
function problemsOfAddresses({ addresses, guest_networks: networks = [] }: ProxmoxOptions): FieldProblem[] {
  if (addresses === undefined) return [];
  const problem = (key: string, detail: string): FieldProblem => ({ pointer: `/addresses/${key}`, detail });
  const wrong = (['first', 'last', 'gateway'] as const).filter((key) => !isIPv4(addresses[key]));
  if (wrong.length > 0) return wrong.map((key) => problem(key, 'this is no IPv4 address'));
  const [first, last, gateway] = [addresses.first, addresses.last, addresses.gateway].map(ipv4Number) as [
    number,
    number,
    number,
  ];
  const network = parseNetwork(`${addresses.first}/${addresses.prefix}`);
  const allowed = networks.flatMap((text) => parseNetwork(text) ?? []);
  const isAllowed = (number: number): boolean =>
    allowed.length === 0 || allowed.some((each) => contains(each, number));
  const problems: FieldProblem[] = [];
  if (last < first) problems.push(problem('last', 'last is below first'));
  if (network !== null && !contains(network, last))
    problems.push(problem('last', `it is not in the network of first (/${addresses.prefix})`));
  if (network !== null && !contains(network, gateway))
    problems.push(problem('gateway', `it is not in the network of first (/${addresses.prefix})`));
  if (gateway >= first && gateway <= last)
    problems.push(problem('gateway', 'it lies in the range: a guest would get it'));
  if (!isAllowed(first) || !isAllowed(last))
    problems.push(problem('first', 'the range is not in guest_networks'));
  return problems;
}

function addressesOf({ addresses }: ProxmoxOptions): StaticAddresses | null {
  if (addresses === undefined) return null;
  const { first, last, prefix: bits, gateway } = addresses;
  return { first: ipv4Number(first), last: ipv4Number(last), bits, gateway };
}

/** Fills the gaps of options without problems. */
export function proxmoxSettingsOf(options: ProxmoxOptions): ProxmoxSettings {
  const { capacity = {}, templates = {} } = options;
  return {
    vmids: { first: options.vmid_first, last: options.vmid_last },
    pool: options.pool ?? null,
    nodes: options.nodes ?? null,
    templateOf: (operatingSystem) =>
      Object.hasOwn(templates, operatingSystem)
        ? (templates[operatingSystem] ?? operatingSystem)
        : operatingSystem,
    fullOnly: options.clone === 'full',
    storage: options.storage ?? null,
    bridge: options.bridge ?? null,
    user: options.user ?? 'renter',
    sshPort: options.ssh_port ?? 22,
    networks: options.guest_networks?.flatMap((text) => parseNetwork(text) ?? []) ?? null,
    addresses: addressesOf(options),
    neighboursFile: options.neighbours_file ?? '/proc/net/arp',
    readyTimeoutMs: (options.ready_timeout_s ?? 300) * 1_000,
    capacity: {
      cpu: capacity.cpu ?? null,
      instances: capacity.instances ?? null,
      memoryReserveMb: capacity.memory_reserve_mb ?? 2_048,
      diskReserveShare: (capacity.disk_reserve_percent ?? 15) / 100,
    },
  };
}
