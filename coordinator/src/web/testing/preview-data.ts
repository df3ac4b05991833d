/** Offerings, contracts and providers in every situation that a page has words for: for tests and for looking at. */
import type { ContractState } from '@dc/shared/state/contract';
import { CONTRACT_STATES } from '@dc/shared/state/contract';
import type { WireContract } from '@dc/shared/wire/contract';
import type { WireProvider } from '@dc/shared/wire/offering';
import type { WireAttention, WireUptime } from '@dc/shared/wire/trust';
import type { ShownOffering, WebData } from '../web-data.ts';

export const PREVIEW_NOW = Date.parse('2026-11-20T14:03:09.000Z');
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** A title that takes over a page which does not escape it. */
export const HOSTILE = `"><img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;

const usd = (amount: string) => ({ amount_e9s: amount, currency: 'USD' });
const at = (offsetMs: number): string => new Date(PREVIEW_NOW + offsetMs).toISOString();
const uuid = (number: number): string => `01900000-0000-7000-8000-${number.toString(16).padStart(12, '0')}`;

export const PROVIDER_KEY = 'a1'.repeat(32);
export const ACCOUNT = { pubkey: 'c3'.repeat(32), username: 'alice' };

/** An offering that can be rented; `change` makes it another. */
export function anOffering(number: number, change: Partial<ShownOffering> = {}): ShownOffering {
  return {
    id: uuid(number),
    title: 'Small, Falkenstein',
    description: 'An AMD EPYC host with NVMe disks and a 1 Gbit/s uplink. Outgoing mail is blocked.',
    provider: { pubkey: PROVIDER_KEY, name: 'Rackline' },
    cpu: 2,
    memory_mb: 2048,
    disk_gb: 40,
    country: 'DE',
    operating_systems: ['Debian 12', 'Ubuntu 24.04'],
    price_per_hour: usd('9000000'),
    setup_fee: usd('0'),
    min_hours: 1,
    max_hours: 720,
    in_stock: true,
    stock: 'available',
    ...change,
  };
}

export const OFFERINGS: readonly ShownOffering[] = [
  anOffering(1),
  anOffering(2, {
    title: 'Large, Helsinki',
    cpu: 16,
    memory_mb: 65_536,
    disk_gb: 960,
    country: 'FI',
    price_per_hour: usd('245000000'),
    setup_fee: usd('1500000000'),
  }),
  anOffering(3, {
    title: 'GPU box, Oslo',
    country: 'NO',
    price_per_hour: usd('1200000000'),
    stock: 'sold_out',
    in_stock: false,
  }),
  anOffering(4, {
    title: 'Tiny, Lisbon',
    country: 'PT',
    cpu: 1,
    memory_mb: 512,
    disk_gb: 10,
    stock: 'offline',
    in_stock: false,
    price_per_hour: usd('2500000'),
  }),
  anOffering(5, {
    title: HOSTILE,
    description: HOSTILE,
    operating_systems: [HOSTILE],
    provider: { pubkey: PROVIDER_KEY, name: HOSTILE },
  }),
];

const ORDER: readonly ContractState[] = ['requested', 'accepted', 'provisioning', 'provisioned', 'active'];
const STAGE_OF: Readonly<Record<string, string>> = {
  requested: 'payment',
  accepted: 'queue',
  provisioning: 'provisioning',
  provisioned: 'verification',
};

/** A contract in `state`, with the stages and the money that belong to it. */
export function aContract(
  number: number,
  state: ContractState,
  change: Partial<WireContract> = {},
): WireContract {
  const hasEnded = ['rejected', 'cancelled', 'failed', 'expired'].includes(state);
  const reached =
    state === 'failed'
      ? 2
      : state === 'rejected'
        ? 1
        : hasEnded || state === 'paused'
          ? 4
          : ORDER.indexOf(state);
  const isActive = reached === 4;
  const startMs = isActive ? -6 * HOUR_MS : -4200;
  const stepsMs = [0, 40, 60, 480, 700];
  const time = (step: number): string => at(startMs + (stepsMs[step] ?? 0));
  const stages = ORDER.slice(0, Math.min(reached + 1, 4)).map((name, step) => {
    const isDone = step < reached || hasEnded;
    const duration = (stepsMs[step + 1] ?? 0) - (stepsMs[step] ?? 0);
    return {
      name: STAGE_OF[name] ?? '',
      started_at: time(step),
      ended_at: isDone ? time(step + 1) : null,
      duration_ms: isDone ? duration : null,
    };
  });
  const hasAccess = ['provisioned', 'active', 'paused'].includes(state);
  return {
    id: uuid(100 + number),
    offering_id: uuid(1),
    offering_title: 'Small, Falkenstein',
    provider_pubkey: PROVIDER_KEY,
    state,
    release: hasEnded && isActive ? 'released' : 'none',
    version: reached + 1,
    duration_hours: 24,
    operating_system: 'Debian 12',
    total: usd('216000000'),
    payment: { method: 'test', status: state === 'requested' ? 'pending' : 'succeeded', checkout_url: null },
    created_at: at(startMs),
    paid_at: state === 'requested' ? null : time(1),
    active_at: isActive ? time(4) : null,
    ends_at: isActive ? at(startMs + 24 * HOUR_MS) : null,
    ended_at: hasEnded ? at(-MINUTE_MS) : null,
    access: hasAccess
      ? {
          host: '127.0.0.1',
          port: 42_117,
          user: 'renter',
          ssh_command: 'ssh -p 42117 renter@127.0.0.1',
          host_key_fingerprint: 'SHA256:1s7pZs5Yb2bG8m3m2r8q1V9o2i4b7fJw0cX6h5t4Qkc',
          host_key: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLE0',
          web_url: null,
        }
      : null,
    verified_by: isActive ? 'coordinator' : null,
    stages,
    timeline: ORDER.slice(0, reached + 1).map((to, step) => ({
      at: time(step),
      from: step === 0 ? null : (ORDER[step - 1] ?? null),
      to,
      actor: step === 0 ? 'renter' : step === 1 ? 'system' : `agent:${'e5'.repeat(8)}`,
      reason: step === 0 ? 'Requested by the renter.' : step === 1 ? 'Paid.' : 'The agent reports progress.',
    })),
    refund_if_cancelled_now: hasEnded ? null : usd('162000000'),
    refunded: null,
    last_error: null,
    ...change,
  };
}

const FULL = {
  refunded: usd('216000000'),
  payment: { method: 'test', status: 'refunded', checkout_url: null },
} as const;

export const CONTRACTS: readonly WireContract[] = CONTRACT_STATES.map((state, index) => {
  if (state === 'failed') {
    const last_error = {
      code: 'PROVISIONER_EXHAUSTED',
      detail: 'The backend has no room left.',
      remedy: 'You get all of your money back. Choose another offering, or try again.',
    };
    return aContract(index, state, { ...FULL, last_error });
  }
  if (state === 'rejected') return aContract(index, state, { refunded: usd('216000000') });
  if (state === 'cancelled') {
    return aContract(index, state, {
      refunded: usd('162000000'),
      release: 'pending',
      payment: { method: 'test', status: 'partially_refunded', checkout_url: null },
    });
  }
  if (state === 'active') {
    return aContract(index, state, {
      notice: {
        code: 'maintenance',
        detail: 'The provider works on the machine that this contract runs on: it may be away for a while.',
        until: at(2 * HOUR_MS),
      },
      may_extend: { price_per_hour: usd('9000000'), hours_max: 696 },
      extensions: [
        { id: uuid(300), hours: 5, price: usd('45000000'), status: 'pending', created_at: at(-MINUTE_MS) },
      ],
    });
  }
  return aContract(index, state);
});

const agent = (
  number: number,
  change: Partial<WireProvider['agents'][number]>,
): WireProvider['agents'][number] => ({
  public_key: number.toString(16).padStart(2, '0').repeat(32),
  label: '',
  pool_id: uuid(200),
  online: true,
  last_heartbeat_at: at(-4000),
  version: '0.1.0',
  evidence: { records: 1240, gap_from_seq: null, fork_at_seq: null },
  ...change,
});

export const PROVIDERS: readonly WireProvider[] = [
  {
    pubkey: PROVIDER_KEY,
    name: 'Rackline',
    auto_accept: true,
    created_at: at(-90 * 24 * HOUR_MS),
    agents: [
      agent(17, { label: 'falkenstein-1' }),
      agent(18, {
        label: 'falkenstein-2',
        online: false,
        last_heartbeat_at: at(-3 * HOUR_MS),
        evidence: { records: 310, gap_from_seq: 288, fork_at_seq: 290 },
      }),
      agent(19, {
        online: false,
        last_heartbeat_at: null,
        version: null,
        evidence: { records: 0, gap_from_seq: null, fork_at_seq: null },
      }),
    ],
  },
  { pubkey: 'b2'.repeat(32), name: 'New here', auto_accept: false, created_at: at(-HOUR_MS), agents: [] },
];

const UPTIME: WireUptime = {
  from: at(-30 * 24 * HOUR_MS),
  to: at(0),
  agents: [
    {
      public_key: '11'.repeat(32),
      label: 'falkenstein-1',
      since: at(-30 * 24 * HOUR_MS),
      uptime: 0.99954,
      known_ms: 29 * 24 * HOUR_MS,
      outage_ms: 19 * MINUTE_MS,
      maintenance_ms: 24 * HOUR_MS,
      outages: [{ from: at(-50 * HOUR_MS), to: at(-50 * HOUR_MS + 19 * MINUTE_MS) }],
      maintenance: [
        { from: at(-100 * HOUR_MS), to: at(-76 * HOUR_MS), kind: 'maintenance', record_seq: 411 },
      ],
    },
  ],
};

const ATTENTION: WireAttention = {
  blocked: [
    {
      agent: '11'.repeat(32),
      said_at: at(-4000),
      explanation: {
        contract_id: uuid(101),
        desired: 'running, by order 01900000-0000-7000-8000-000000000190 (provision, epoch 1)',
        observed:
          'absent at the backend (a complete list of the backend does not hold it); the journal has no instance',
        next_step: 'wait until 2026-11-20T14:04:00.000Z',
        blocked_by: {
          code: 'retry_later',
          text: 'The last try failed; the next one has its time.',
          remedy: 'Nothing to do yet. See the last attempts for what is in the way.',
        },
        since: at(-5 * MINUTE_MS),
        last_attempts: [
          {
            at: at(-MINUTE_MS),
            saga: 'provision-instance',
            saga_id: uuid(191),
            step: 'create',
            undo: false,
            attempt: 3,
            outcome: 'failed',
            code: 'PROVISIONER_UNAVAILABLE',
            detail: HOSTILE,
          },
        ],
        command: 'dc-agent doctor',
      },
    },
  ],
  destruction_paused: [
    { agent: '11'.repeat(32), waiting: 4, since: at(-HOUR_MS), command: 'dc-agent confirm' },
  ],
  orphans: [
    {
      agent: '12'.repeat(32),
      total: 1,
      command: 'dc-agent orphans list',
      instances: [{ id: 'vm-104', contract_id: uuid(104), first_seen_at: at(-3 * HOUR_MS) }],
    },
  ],
  unserved_offerings: [{ id: uuid(4), title: 'Tiny, Lisbon', out_of_stock: 'offline' }],
  unserved_contracts: [
    {
      id: uuid(105),
      state: 'rejected',
      since: at(-HOUR_MS),
      detail: 'No agent of the provider can serve it now.',
    },
  ],
};

/** The data of a small market in which everything has happened; `change` makes it another. */
export function previewData(change: Partial<WebData> = {}): WebData {
  return {
    listOfferings: async (filter) => {
      const items = OFFERINGS.filter(
        ({ title, country, cpu, provider }) =>
          (filter.text === null || title.toLowerCase().includes(filter.text.toLowerCase())) &&
          (filter.country === null || country === filter.country) &&
          (filter.cpuMin === null || cpu >= filter.cpuMin) &&
          (filter.provider === null || provider.pubkey === filter.provider),
      );
      return { items, nextCursor: null };
    },
    listCountries: async () => ['DE', 'FI', 'NO', 'PT'],
    findOffering: async (id) => OFFERINGS.find((offering) => offering.id === id) ?? null,
    findProvider: async (pubkey) => PROVIDERS.find((provider) => provider.pubkey === pubkey) ?? null,
    findUptime: async (pubkey) => (pubkey === PROVIDER_KEY ? UPTIME : { ...UPTIME, agents: [] }),
    findAttention: async (_principal, pubkey) => (pubkey === PROVIDER_KEY ? ATTENTION : null),
    findAccount: async () => ACCOUNT,
    listContracts: async () => ({ items: [...CONTRACTS], nextCursor: null }),
    findContract: async (_principal, id) => CONTRACTS.find((contract) => contract.id === id) ?? null,
    paymentMethods: () => ['test'],
    ...change,
  };
}
