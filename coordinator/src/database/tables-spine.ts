/** Row types of the tables of migrations 0002, 0003 and 0005: accounts, providers, agents, offerings, contracts, evidence. */
import type { Generated } from 'kysely';

export interface SpineTables {
  accounts: AccountsTable;
  account_keys: AccountKeysTable;
  challenges: ChallengesTable;
  sessions: SessionsTable;
  nonces: NoncesTable;
  idempotency: IdempotencyTable;
  providers: ProvidersTable;
  pools: PoolsTable;
  grants: GrantsTable;
  agents: AgentsTable;
  offerings: OfferingsTable;
  contracts: ContractsTable;
  contract_history: ContractHistoryTable;
  payment_events: PaymentEventsTable;
  extensions: ExtensionsTable;
  hand_backs: HandBacksTable;
  capacities: CapacitiesTable;
  storage_rooms: StorageRoomsTable;
  reservations: ReservationsTable;
  outages: OutagesTable;
  availability: AvailabilityTable;
  work: WorkTable;
  credential_changes: CredentialChangesTable;
  records: RecordsTable;
  chain_faults: ChainFaultsTable;
  forks: ForksTable;
}

/** An account is named by the first key it had; that name stays when the key is removed. */
export interface AccountsTable {
  pubkey: string;
  username: string | null;
  email: string | null;
  is_admin: number;
  created_at: number;
}

export interface AccountKeysTable {
  public_key: string;
  account_pubkey: string;
  label: string;
  added_at: number;
  revoked_at: number | null;
}

/** A log-in challenge; the row goes when it is used. */
export interface ChallengesTable {
  challenge: string;
  public_key: string;
  expires_at: number;
}

export interface SessionsTable {
  /** SHA-256 of the cookie: a stolen database opens no session. */
  token_hash: string;
  account_pubkey: string;
  created_at: number;
  expires_at: number;
}

/** Nonces that were spent, until the skew check refuses their requests anyway. */
export interface NoncesTable {
  public_key: string;
  nonce: string;
  expires_at: number;
}

/** First answers, kept for 24 h and given again to the same request. */
export interface IdempotencyTable {
  actor: string;
  key: string;
  request_hash: string;
  status: number;
  body: string;
  created_at: number;
}

export interface ProvidersTable {
  pubkey: string;
  name: string;
  auto_accept: number;
  created_at: number;
}

export interface PoolsTable {
  id: string;
  provider_pubkey: string;
  name: string;
  country: string;
  created_at: number;
}

/** Grants for setup tokens; the token itself never comes here. */
export interface GrantsTable {
  setup_key: string;
  provider_pubkey: string;
  pool_id: string;
  grant_jws: string;
  expires_at: number;
  used_by: string | null;
  created_at: number;
}

export interface AgentsTable {
  public_key: string;
  provider_pubkey: string;
  pool_id: string;
  label: string;
  /** JSON array of AgentPermission. */
  permissions: string;
  grant_jws: string;
  delegation_jws: string;
  expires_at: number | null;
  revoked_at: number | null;
  created_at: number;
  last_heartbeat_at: number | null;
  version: string | null;
  /** The last heartbeat's body, JSON. */
  heartbeat: string | null;
  /** 1 where its last heartbeat said that it takes no new work. */
  draining: Generated<number>;
  maintenance_until_at: number | null;
  /** 0 where its last heartbeat said that its backend does not work. */
  healthy: Generated<number>;
  first_heartbeat_at: number | null;
}

/**
 * What an agent published with its last heartbeat. An agent without a row says nothing of its capacity. `room_…` is
 * what it said is free, less the reservations that were not at its backend by then; null where it is not counted.
 */
export interface CapacitiesTable {
  agent_key: string;
  /** The dc-capacity JWS, verbatim; null where the agent signs none. */
  statement: string | null;
  /** The provider's agents that name the same one have its room together. */
  backend: string | null;
  /** Nothing is sold by it from then on. */
  expires_at: number;
  /** When the agent last handed something back for want of room: what it stated before is not believed. */
  refused_at: Generated<number>;
  room_cpu: number;
  room_memory_mb: number;
  room_instances: number;
  room_addresses: number | null;
  room_port_blocks: number | null;
}

export interface StorageRoomsTable {
  agent_key: string;
  name: string;
  room_gb: number;
}

/** What a contract that holds a place takes, and of which agent. */
export interface ReservationsTable {
  contract_id: string;
  agent_key: string;
  storage: string | null;
  cpu: number;
  memory_mb: number;
  disk_gb: number;
  /** 1 where the agent's statement was made with it at the backend: it is not in that room. */
  included: number;
}

/** A time without a heartbeat that is over. */
export interface OutagesTable {
  agent_key: string;
  from_at: number;
  to_at: number;
}

/** What an `availability` record said. */
export interface AvailabilityTable {
  agent_key: string;
  seq: number;
  at: number;
  received_at: number;
  draining: number;
  maintenance_until_at: number | null;
}

export interface OfferingsTable {
  id: string;
  provider_pubkey: string;
  pool_id: string;
  title: string;
  description: string;
  cpu: number;
  memory_mb: number;
  disk_gb: number;
  country: string;
  /** JSON array of names. */
  operating_systems: string;
  price_per_hour_e9s: bigint;
  setup_fee_e9s: bigint;
  currency: string;
  min_hours: number;
  max_hours: number;
  places: number;
  places_taken: number;
  /** 1: any pool of the provider in this country serves it; `pool_id` is one of them. */
  any_pool: Generated<number>;
  retired_at: number | null;
  created_at: number;
}

export interface ContractsTable {
  id: string;
  /** Rises by one with every change; changes are conditional on it. */
  version: number;
  state: string;
  release: string;
  renter_pubkey: string;
  provider_pubkey: string;
  offering_id: string;
  offering_title: string;
  pool_id: string;
  cpu: number;
  memory_mb: number;
  disk_gb: number;
  operating_system: string;
  ssh_public_key: string;
  duration_hours: number;
  total_e9s: bigint;
  setup_fee_e9s: bigint;
  currency: string;
  payment_method: string;
  payment_state: string;
  /** 1 while the contract takes one of its offering's places. */
  place_held: number;
  /** The epoch of the newest lease on this contract; 0 before the first. It only rises. */
  epoch: number;
  /** The agent that got the lease to provision: nobody else gets it, see agents/work-rules.ts. */
  agent_key: string | null;
  created_at: number;
  state_since_at: number;
  paid_at: number | null;
  provisioned_at: number | null;
  active_at: number | null;
  ends_at: number | null;
  ended_at: number | null;
  paused_at: number | null;
  paused_ms: number;
  /** JSON of WireAccess. */
  access: string | null;
  verified_by: string | null;
  /** JSON of {code, detail, remedy}. */
  last_error: string | null;
}

export interface ContractHistoryTable {
  contract_id: string;
  version: number;
  at: number;
  from_state: string | null;
  to_state: string;
  event: string;
  actor: string;
  reason: string;
}

/** Every event that a payment provider told us, once (I3). */
export interface PaymentEventsTable {
  method: string;
  event_id: string;
  contract_id: string;
  kind: string;
  amount_e9s: bigint;
  currency: string;
  at: number;
}

/** More time for a contract, which counts once it is paid. */
export interface ExtensionsTable {
  id: string;
  contract_id: string;
  hours: number;
  /** In the contract's currency. */
  price_e9s: bigint;
  /** pending, paid, failed or refunded. */
  state: string;
  created_at: number;
  settled_at: number | null;
}

/** The last time that an agent handed a work item back knowing that it had made nothing. */
export interface HandBacksTable {
  work_id: string;
  agent_key: string;
  at: number;
  code: string;
  detail: string;
  times: Generated<number>;
  /** Not asked again before. */
  until_at: Generated<number>;
}

/** Something an agent has to do for a contract, and its lease. */
export interface WorkTable {
  id: string;
  contract_id: string;
  kind: string;
  /** open, leased, done or withdrawn. */
  state: string;
  pool_id: string;
  /** Only this agent may take it; null for any of the pool. */
  agent_key: string | null;
  leased_by: string | null;
  epoch: number;
  /** Every lease up to this epoch was handed back with nothing made. */
  clean_epoch: number;
  lease_expires_at: number | null;
  /** JSON of Tombstone, for `destroy`. */
  tombstone: string | null;
  /** JSON of the last hand-back: code, detail, agent, at. */
  returned: string | null;
  not_before_at: number;
  created_at: number;
  done_at: number | null;
}

/** A change of an instance's password or key that was asked for, beside its work item. */
export interface CredentialChangesTable {
  work_id: string;
  contract_id: string;
  /** reset_password or rotate_ssh_key. */
  kind: string;
  asked_at: number;
  /** JSON array of the account keys that the password is sealed to; null for a key. */
  seal_to: string | null;
  /** The key that takes the place of the contract's; null for a password. */
  ssh_public_key: string | null;
  done_at: number | null;
  /** Whose password it is. */
  user_name: string | null;
  /** A PasswordProof. */
  proof: string | null;
  /** JSON array of SealedBox, in the order of `seal_to`; null before it is done and after `expires_at`. */
  boxes: string | null;
  expires_at: number | null;
}

/** Records, verbatim. */
export interface RecordsTable {
  agent_key: string;
  seq: number;
  compact: string;
  hash: string;
  kind: string;
  contract_id: string;
  received_at: number;
  outcome: string;
  code: string | null;
  /** Our signed receipt: for the last record of each batch that came in. */
  checkpoint: string | null;
}

/** What is wrong with an agent's chain; no row where nothing ever was. Where it stands follows from its records. */
export interface ChainFaultsTable {
  agent_key: string;
  /** The first sequence number that is missing before records we were offered; null where none is. */
  gap_from_seq: number | null;
  fork_at_seq: number | null;
}

/** Records that contradict one we hold, verbatim: proof of two agents with one key. */
export interface ForksTable {
  hash: string;
  agent_key: string;
  seq: number;
  compact: string;
  received_at: number;
}
