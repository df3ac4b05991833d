/** A contract as it stands in the database, for tests of what is pure. */
import { HOUR_MS } from '../contract-rules.ts';
import type { ContractRow } from '../contract-store.ts';

/** When it was made. */
export const MADE_AT = Date.parse('2026-11-20T12:00:00.000Z');

/** One that is active for 10 hours at 0.01 USD, verified a second after it was made, unless `change` says otherwise. */
export function aContract(change: Partial<ContractRow> = {}): ContractRow {
  return {
    id: '01993b5e-0000-7000-8000-000000000001',
    version: 9,
    state: 'active',
    release: 'none',
    renter_pubkey: 'aa'.repeat(32),
    provider_pubkey: 'bb'.repeat(32),
    offering_id: '01993b5e-0000-7000-8000-000000000002',
    offering_title: 'Small server',
    pool_id: '01993b5e-0000-7000-8000-000000000003',
    cpu: 2,
    memory_mb: 4096,
    disk_gb: 40,
    operating_system: 'debian-12',
    ssh_public_key: 'ssh-ed25519 AAAA',
    duration_hours: 10,
    total_e9s: 100_000_000n,
    setup_fee_e9s: 0n,
    currency: 'USD',
    payment_method: 'test',
    payment_state: 'succeeded',
    place_held: 1,
    epoch: 1,
    agent_key: 'cc'.repeat(32),
    created_at: MADE_AT,
    state_since_at: MADE_AT + 1000,
    paid_at: MADE_AT,
    provisioned_at: MADE_AT + 900,
    active_at: MADE_AT + 1000,
    ends_at: MADE_AT + 1000 + 10 * HOUR_MS,
    ended_at: null,
    paused_at: null,
    paused_ms: 0,
    access: null,
    verified_by: 'coordinator',
    last_error: null,
    ...change,
  };
}
