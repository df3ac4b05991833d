/**
 * Where payment providers deliver their events. An event is verified before anything is believed, kept once, and
 * applied in the same transaction; whatever has been kept is answered with success, so that it is not sent again.
 */
import { Type } from 'typebox';
import { closed } from '@dc/shared/wire/schema-parts';
import type { Context } from '../context.ts';
import { writeRoute, type Route } from '../http/route.ts';
import { takeEvent } from './payment-facts.ts';
import type { PaymentProvider, ProviderEvent } from './payment-provider.ts';

/** Larger than any event of theirs. */
const BODY_LIMIT_BYTES = 512 * 1024;

/** One route for each provider that delivers events. */
export function webhookRoutes(context: Context, payments: ReadonlyMap<string, PaymentProvider>): Route[] {
  return [...payments.values()].flatMap((provider) => {
    const { online } = provider;
    if (online === undefined) return [];
    return [
      writeRoute({
        method: 'POST',
        url: `/api/v1/webhooks/${provider.method}`,
        permission: 'public',
        summary: `Events of ${provider.method}: signed by it, each taken once.`,
        schema: {
          body: Type.Unknown({ description: 'An event, exactly as its signature covers it' }),
          response: closed({
            received: Type.Boolean(),
            is_new: Type.Boolean({ description: 'False for one that was delivered before' }),
          }),
        },
        errors: ['WEBHOOK_SIGNATURE_INVALID'],
        idempotency: 'none', // The event's own id is what makes it single.
        bodyLimitBytes: BODY_LIMIT_BYTES,
        // Providers deliver in bursts, from few addresses; a forged one costs us one hash.
        isExemptFromRateLimits: true,
        prepare({ raw: { request }, now }): { event: ProviderEvent; body: string } {
          const body = request.rawBody ?? Buffer.alloc(0);
          const event = online.readEvent({ headers: request.raw.headers, body, now });
          return { event, body: body.toString('utf8') };
        },
        async handle(_input, trx, delivery) {
          const isNew = await takeEvent(context, trx, provider, delivery);
          return { status: 200, body: { received: true, is_new: isNew } };
        },
      }),
    ];
  });
}
