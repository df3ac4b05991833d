/**
 * Crashes for money sagas: every write to the database and every call of a payment provider is a place to crash,
 * before it and after it. What is after a crash starts from the database alone, as after a restart.
 */
import type { Context } from '../../context.ts';
import type { PaymentProvider } from '../payment-provider.ts';

/** What a crash throws; nothing may handle it. */
export class Crash extends Error {}

/** Counts the places to crash, and crashes at one of them: never where `at` is null. */
export class CrashPlan {
  readonly #at: number | null;
  /** How many places were passed. */
  passed = 0;

  constructor(at: number | null) {
    this.#at = at;
  }

  /** Does `step`, with a place before and a place after it. */
  async around<T>(step: () => Promise<T>): Promise<T> {
    this.#pass();
    const result = await step();
    this.#pass();
    return result;
  }

  #pass(): void {
    this.passed += 1;
    if (this.passed === this.#at) throw new Crash(`crash ${String(this.#at)}`);
  }
}

/** A context whose writes may crash. */
export function crashingContext(context: Context, plan: CrashPlan): Context {
  const { db } = context;
  return {
    ...context,
    db: {
      read: db.read,
      write: (job) => plan.around(() => db.write(job)),
      snapshot: (job) => db.snapshot(job),
      close: () => db.close(),
    },
  };
}

/** A payment provider that settles and refunds at once, whose refunds may crash. */
export function crashingProvider(provider: PaymentProvider, plan: CrashPlan): PaymentProvider {
  return {
    method: provider.method,
    settleAtOnce: (payment) => provider.settleAtOnce(payment),
    refund: (request, signal) =>
      plan.around(async () => {
        await provider.refund(request, signal);
      }),
  };
}
