/** The `test` payment method: settles at once, moves no real money, and goes through the same ledger as the others. */
import type { PaymentProvider } from './payment-provider.ts';

/** Made only where the configuration allows it (`payments.test`, loopback only). */
export function createTestPayment(): PaymentProvider {
  return {
    method: 'test',
    settleAtOnce: (payment) => ({
      ...payment,
      eventId: `test:${payment.extensionId ?? payment.contractId}:paid`,
      kind: 'paid',
    }),
    // There is no account outside that could refuse: to ask is to have it confirmed.
    refund: () => Promise.resolve(),
  };
}
