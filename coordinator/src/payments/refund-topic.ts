/** The outbox topic of refunds that may leave; the key of the row is the refund's. */
import { defineTopic } from '../jobs/outbox.ts';

export const REFUND_TOPIC = defineTopic<Record<string, never>>('payment.refund');
