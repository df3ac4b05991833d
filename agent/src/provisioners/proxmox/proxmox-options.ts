/** What the configuration may say about the `proxmox` driver, and what is wrong with it beyond types. */
import { isIPv4 } from 'node:net';
import { Type, type Static } from 'typebox';
import type { FieldProblem } from '@dc/shared/errors';

const VMID_MAX = 999_999_999;
const Vmid = (description: string) => Type.Integer({ minimum: 100, maximum: VMID_MAX, description });
const Port = Type.Integer({ minimum: 1, maximum: 65_535 });
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

/** A network as an address and a mask, both as 32-bit numbers. */
export interface Network {
  readonly address: number;
  readonly mask: number;
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
  return problems;
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

/** `192.0.2.0/24`; null where it is none. */
export function parseNetwork(text: string): Network | null {
  const [address = '', length = ''] = text.split('/');
  const bits = Number(length);
  if (!isIPv4(address) || !/^\d{1,2}$/.test(length) || bits > 32) return null;
  const mask = bits === 0 ? 0 : (0xffff_ffff << (32 - bits)) >>> 0;
  return { address: (ipv4Number(address) & mask) >>> 0, mask };
}

/** An IPv4 address as a 32-bit number. */
export function ipv4Number(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}
