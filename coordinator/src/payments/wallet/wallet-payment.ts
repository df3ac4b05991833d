/** The `wallet` payment method: spends what the renter has topped up, inside our own transaction. */
import type { PaymentProvider } from '../payment-provider.ts';

export function createWalletPayment(): PaymentProvider {
  return {
    method: 'wallet',
    source: 'wallet',
    settleAtOnce: (payment) => ({
      ...payment,
      eventId: `wallet:${payment.extensionId ?? payment.contractId}:paid`,
      kind: 'paid',
    }),
    // What is refunded goes into the wallet, in the transaction that books it: nobody is asked.
    refund: () => Promise.resolve(),
  };
}
