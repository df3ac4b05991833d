/** A coordinator on a real socket that has one grant to give: what a set-up needs, and a doctor asks. */
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { hashJws, parseJws } from '@dc/shared/crypto/jws';
import {
  AGENT_PERMISSIONS,
  signGrant,
  verifyDelegation,
  type GrantPayload,
} from '@dc/shared/delegation/delegation';
import { deriveSealSecret, formatSetupToken } from '@dc/shared/delegation/setup-token';
import { AppError } from '@dc/shared/errors';
import { systemClock } from '../lib/system-clock.ts';
import { systemRandom } from '../lib/system-random.ts';
import { ENVIRONMENT, MemoryCoordinator } from './memory-coordinator.ts';
import { WireServer } from './wire-server.ts';

const POOL = '01890000-0000-7000-8000-0000000000b1';

/** A grant that was given, and what has become of it. */
interface Given {
  readonly compact: string;
  readonly payload: GrantPayload;
  usedBy: string | null;
  delegation: string | null;
}

export class SetupCoordinator {
  readonly provider = SigningKey.fromSeed(systemRandom.bytes(32));
  /** Every registration that was asked for, in order. */
  readonly registrations: string[] = [];
  readonly memory: MemoryCoordinator;
  readonly wire: WireServer;
  readonly #given = new Map<string, Given>();

  private constructor(memory: MemoryCoordinator, wire: WireServer) {
    this.memory = memory;
    this.wire = wire;
    wire.answers.set('POST /agents/register', (body, keyid) =>
      this.#register(body as { delegation: string }, keyid),
    );
  }

  static async start(): Promise<SetupCoordinator> {
    const memory = new MemoryCoordinator(systemClock, 'f'.repeat(64));
    return new SetupCoordinator(memory, await WireServer.start(memory));
  }

  get url(): string {
    return this.wire.url;
  }

  stop(): Promise<void> {
    return this.wire.stop();
  }

  /** Grants something for a new token; the token. `change` makes the grant another one, `signer` forges it. */
  grant(change: Partial<GrantPayload> = {}, signer = this.provider): string {
    const seed = systemRandom.bytes(32);
    const setupKey = SigningKey.fromSeed(seed).publicKey;
    const nowS = Math.floor(Date.now() / 1000);
    const payload: GrantPayload = {
      iss: signer.publicKey,
      sub: setupKey,
      coordinator_key: this.memory.key.publicKey,
      pool_id: POOL,
      permissions: [...AGENT_PERMISSIONS],
      iat: nowS,
      exp: nowS + 3_600,
      delegation_exp: null,
      ...change,
    };
    const given: Given = { compact: signGrant(payload, signer), payload, usedBy: null, delegation: null };
    this.#given.set(setupKey, given);
    this.wire.answers.set(`GET /setup-grants/${setupKey}`, () => ({
      grant: given.compact,
      setup_key: setupKey,
      provider_pubkey: this.provider.publicKey,
      pool_id: POOL,
      permissions: payload.permissions,
      expires_at: new Date(payload.exp * 1000).toISOString(),
      used: given.usedBy !== null,
    }));
    return formatSetupToken(seed, deriveSealSecret(this.provider), this.provider.publicKey);
  }

  /** As the real one does: the same delegation again is a success, anything else for a known key is not. */
  #register({ delegation }: { delegation: string }, keyid: string | null): object {
    this.registrations.push(hashJws(delegation));
    const given = this.#given.get(parseJws(delegation)?.kid ?? '');
    if (given === undefined) throw new AppError('GRANT_INVALID');
    const { agentKey } = verifyDelegation(given.compact, delegation);
    if (agentKey !== keyid) throw new AppError('GRANT_INVALID');
    const others = [...this.#given.values()].filter((one) => one.usedBy === agentKey);
    if (others.some((one) => one.delegation !== delegation)) throw new AppError('AGENT_KEY_TAKEN');
    if (given.usedBy !== null && given.usedBy !== agentKey) throw new AppError('GRANT_USED');
    given.usedBy = agentKey;
    given.delegation = delegation;
    return {
      agent: agentKey,
      provider_pubkey: this.provider.publicKey,
      pool_id: POOL,
      permissions: given.payload.permissions,
      delegation_expires_at: null,
      coordinator_key: this.memory.key.publicKey,
      environment: ENVIRONMENT,
      heartbeat_interval_ms: 30_000,
    };
  }
}
