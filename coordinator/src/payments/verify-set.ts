/** PURE: what is wrong with one set of postings as it lies in the database, and which balances may not be negative. */

/** A set with everything that the database holds of it. */
export interface RawSet {
  id: string;
  cause: string;
  kind: string;
  contractId: string | null;
  currency: string;
  isSealed: boolean;
  postings: RawPosting[];
}

export interface RawPosting {
  account: string;
  amountE9s: bigint;
  currency: string;
}

const CONTRACT_ACCOUNT = /^(escrow|refund_due|renter_credit):/;
const NEVER_BELOW_ZERO =
  /^(escrow|refund_due|renter_credit|renter_wallet|wallet_refund_due|dispute_held|payout_in_flight):/;

export const isOfContract = (account: string): boolean => CONTRACT_ACCOUNT.test(account);

/** One sentence; null for a sound set. */
export function problemOfSet(set: RawSet): string | null {
  const name = `The set ${set.id} (${set.cause})`;
  if (set.postings.some((posting) => typeof posting.amountE9s !== 'bigint'))
    return `${name} has an amount that is no integer.`;
  if (!set.isSealed) return `${name} has no seal.`;
  if (set.postings.length < 2) return `${name} has ${set.postings.length} postings.`;
  let sum = 0n;
  for (const { account, amountE9s, currency } of set.postings) {
    if (currency !== set.currency) return `${name} mixes ${set.currency} and ${currency}.`;
    sum += amountE9s;
    if (isOfContract(account) && !account.endsWith(`:${set.contractId ?? ''}`))
      return `${name} posts to ${account}, which is not its contract's.`;
  }
  return sum === 0n ? null : `${name} sums to ${sum} instead of 0.`;
}

/** Sums of postings, by account and currency. */
export class Balances {
  readonly #sums = new Map<string, bigint>();

  add({ account, amountE9s, currency }: RawPosting): void {
    const name = `${account} in ${currency}`;
    // Only a database without its guards has a fraction here, which is said of its set.
    if (typeof amountE9s !== 'bigint') return;
    this.#sums.set(name, (this.#sums.get(name) ?? 0n) + amountE9s);
  }

  of(account: string, currency: string): bigint {
    return this.#sums.get(`${account} in ${currency}`) ?? 0n;
  }

  /** The sums of the accounts of one kind, by what follows `kind:` in `name in CURRENCY`. */
  ofKind(kind: string): Map<string, bigint> {
    const prefix = `${kind}:`;
    const ofKind = [...this.#sums].filter(([name]) => name.startsWith(prefix));
    return new Map(ofKind.map(([name, sum]) => [name.slice(prefix.length), sum]));
  }

  /** One sentence about the first account that is below zero and must not be; of those that `counts`. */
  firstProblem(counts: (account: string) => boolean = () => true): string | null {
    for (const [name, balance] of this.#sums)
      if (balance < 0n && NEVER_BELOW_ZERO.test(name) && counts(name))
        return `The account ${name} is at ${balance}, below zero.`;
    return null;
  }
}
