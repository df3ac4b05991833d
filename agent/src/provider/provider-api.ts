/** The provider's own calls, signed with the provider's key: what it takes to have something to sell. */
import { AppError, isAppError } from '@dc/shared/errors';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { AGENT_PERMISSIONS, signGrant } from '@dc/shared/delegation/delegation';
import { deriveSealSecret, formatSetupToken } from '@dc/shared/delegation/setup-token';
import type { Clock } from '@dc/shared/clock';
import type { Random } from '@dc/shared/random';
import { listOf } from '@dc/shared/wire/schema-parts';
import { CoordinatorInfo } from '@dc/shared/wire/coordinator';
import { Offering, Pool, type WireCreateOffering, type WireOffering } from '@dc/shared/wire/offering';
import { HttpTransport } from '../coordinator-client/http-transport.ts';
import { parseAnswer } from '../coordinator-client/parse-answer.ts';

const YEAR_S = 365 * 86_400;

/** A pool of the provider's. */
export interface ProviderPool {
  id: string;
  name: string;
  country: string;
}

/** Throws what the coordinator refuses with. Close it when done. */
export class ProviderApi {
  readonly #transport: HttpTransport;
  readonly #key: SigningKey;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #signal = new AbortController().signal;

  constructor(options: { url: string; key: SigningKey; clock: Clock; random: Random }) {
    this.#transport = new HttpTransport(options);
    this.#key = options.key;
    this.#clock = options.clock;
    this.#random = options.random;
  }

  /** Makes account, provider and a first pool; what is there already stays. Returns the pool to use. */
  async register(provider: { name: string; country: string }): Promise<ProviderPool> {
    await this.#unless('ACCOUNT_EXISTS', '/accounts', { public_key: this.#key.publicKey });
    await this.#unless('PROVIDER_EXISTS', '/providers', { name: provider.name });
    const [pool] = await this.listPools();
    if (pool !== undefined) return pool;
    const body = { name: provider.name, country: provider.country };
    return parseAnswer(Pool, await this.#post(this.#path('/pools'), body));
  }

  async listPools(): Promise<ProviderPool[]> {
    return parseAnswer(listOf(Pool), await this.#get(this.#path('/pools'))).items;
  }

  /** Puts an offering up for sale. */
  async offer(offering: WireCreateOffering): Promise<WireOffering> {
    return parseAnswer(Offering, await this.#post(this.#path('/offerings'), offering));
  }

  /**
   * Grants a setup token for one agent of the pool, with all permissions: `expiresInS` to use it, a year for the
   * agent's key. The token exists only here and where it is pasted; the coordinator gets the grant.
   */
  async grantSetupToken(poolId: string, expiresInS: number): Promise<string> {
    const info = parseAnswer(CoordinatorInfo, await this.#get('/coordinator'));
    const seed = this.#random.bytes(32);
    const nowS = Math.floor(this.#clock.now() / 1000);
    const grant = signGrant(
      {
        iss: this.#key.publicKey,
        sub: SigningKey.fromSeed(seed).publicKey,
        coordinator_key: info.coordinator_key,
        pool_id: poolId,
        permissions: [...AGENT_PERMISSIONS],
        iat: nowS,
        exp: nowS + expiresInS,
        delegation_exp: nowS + YEAR_S,
      },
      this.#key,
    );
    await this.#post(this.#path('/setup-grants'), { grant });
    return formatSetupToken(seed, deriveSealSecret(this.#key), this.#key.publicKey);
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  async #unless(expected: 'ACCOUNT_EXISTS' | 'PROVIDER_EXISTS', path: string, body: object): Promise<void> {
    try {
      await this.#post(path, body);
    } catch (error) {
      if (!isAppError(error, expected)) throw error;
    }
  }

  #path(rest: string): string {
    return `/providers/${this.#key.publicKey}${rest}`;
  }

  async #get(path: string): Promise<unknown> {
    return (await this.#transport.send({ method: 'GET', path, isRepeatable: true, signal: this.#signal }))
      .body;
  }

  async #post(path: string, body: object): Promise<unknown> {
    return (
      await this.#transport.send({ method: 'POST', path, body, isRepeatable: false, signal: this.#signal })
    ).body;
  }
}

/** The pool to use: the named one, or the only one. */
export function choosePool(pools: readonly ProviderPool[], wanted: string | null): ProviderPool {
  const named = wanted === null ? pools : pools.filter(({ id, name }) => id === wanted || name === wanted);
  const [pool, ...others] = named;
  if (pool !== undefined && others.length === 0) return pool;
  const choice = pools.map(({ id, name }) => `${id} (${name})`).join(', ') || 'none';
  throw new AppError('POOL_NOT_FOUND', `Which pool is meant? There are: ${choice}.`, {
    remedy: pools.length === 0 ? 'Run: dc-agent provider register' : 'Name one with --pool.',
  });
}
