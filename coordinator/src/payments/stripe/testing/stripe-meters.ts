/**
 * What the stand-in for Stripe knows of customers, meters and what was told to them. As Stripe does, it refuses an
 * identifier that it has seen in the last day, values that are not whole, and times out of reach.
 */
import type { Clock } from '@dc/shared/clock';
import { StripeRefusal, type Json } from './stripe-books.ts';

export interface Meter extends Json {
  id: string;
  event_name: string;
  status: string;
}
interface MeterEvent {
  event_name: string;
  identifier: string;
  timestamp: number;
  payload: Record<string, string>;
}

type MeterEventBody = Omit<MeterEvent, 'timestamp'> & { timestamp?: string };

const DAY_S = 86_400;
const refuse = (code: string, message = code): StripeRefusal =>
  new StripeRefusal(400, 'invalid_request_error', code, message);

export class StripeMeters {
  readonly customers = new Map<string, Json>();
  readonly meters = new Map<string, Meter>();
  /** In the order in which they came: each of them counts. */
  readonly events: (MeterEvent & { seenAt: number })[] = [];
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What was told of a customer, summed up. */
  sumOf(customer: string): number {
    return this.events
      .filter(({ payload }) => payload['stripe_customer_id'] === customer)
      .reduce((sum, { payload }) => sum + Number(payload['value']), 0);
  }

  createCustomer(body: Json): Json {
    const id = `cus_${String(this.customers.size + 1).padStart(14, '0')}`;
    const customer = {
      ...{ id, object: 'customer', created: this.#now(), livemode: false, balance: 0, address: null },
      ...{ currency: null, default_source: null, delinquent: false, description: null, discount: null },
      ...{ email: body['email'] ?? null, invoice_prefix: 'STANDIN', metadata: body['metadata'] ?? {} },
      ...{
        name: null,
        phone: null,
        preferred_locales: [],
        shipping: null,
        tax_exempt: 'none',
        test_clock: null,
      },
      invoice_settings: {
        ...{ custom_fields: null, default_payment_method: null, footer: null, rendering_options: null },
      },
    };
    this.customers.set(id, customer);
    return customer;
  }

  createMeter(body: Json): Meter {
    const eventName = String(body['event_name']);
    if (this.#active(eventName) !== undefined)
      throw refuse('resource_already_exists', `There is a meter with the event name ${eventName}.`);
    const id = `mtr_test_${String(this.meters.size + 1).padStart(10, '0')}`;
    const meter: Meter = {
      ...{ id, object: 'billing.meter', created: this.#now(), updated: this.#now(), livemode: false },
      ...{ event_name: eventName, event_time_window: null, status: 'active', ...body },
      status_transitions: { deactivated_at: null },
    };
    this.meters.set(id, meter);
    return meter;
  }

  createEvent(body: Json): Json {
    const event = body as unknown as MeterEventBody;
    const now = this.#now();
    const timestamp = Number(event.timestamp ?? now);
    const { stripe_customer_id: customer = '', value = '' } = event.payload;
    if (this.#active(event.event_name) === undefined)
      throw refuse('resource_missing', 'No active meter found for this event name.');
    if (timestamp < now - 35 * DAY_S || timestamp > now + 300)
      throw refuse('timestamp_out_of_range', 'The timestamp is too far in the past or in the future.');
    if (!/^-?\d{1,15}$/.test(value))
      throw refuse('meter_event_invalid_value', 'The value is no whole number.');
    if (!this.customers.has(customer)) throw refuse('resource_missing', 'No such customer.');
    const { identifier } = event;
    if (this.events.some((seen) => seen.identifier === identifier && now - seen.seenAt < DAY_S))
      // As Stripe says it: there is no code.
      throw refuse('', `An event already exists with identifier ${identifier}.`);
    const made = {
      ...{ object: 'billing.meter_event', created: now, livemode: false, event_name: event.event_name },
      ...{ identifier, timestamp, payload: { ...event.payload } },
    };
    this.events.push({ ...made, seenAt: now });
    return made;
  }

  summaries(meterId: string, body: Json): Json[] {
    const meter = this.meters.get(meterId);
    const [start, end] = [Number(body['start_time']), Number(body['end_time'])];
    if (meter === undefined) throw refuse('resource_missing');
    if (start % 60 !== 0 || end % 60 !== 0) throw refuse('parameter_invalid_integer');
    const inside = this.events.filter(
      ({ event_name, payload, timestamp }) =>
        event_name === meter.event_name &&
        payload['stripe_customer_id'] === body['customer'] &&
        timestamp >= start &&
        timestamp < end,
    );
    if (inside.length === 0) return [];
    const aggregated_value = inside.reduce((sum, { payload }) => sum + Number(payload['value']), 0);
    const id = `mtrusg_test_${meterId}_${String(start)}`;
    const range = { start_time: start, end_time: end, meter: meterId, livemode: false };
    return [{ id, object: 'billing.meter_event_summary', aggregated_value, ...range }];
  }

  #active(eventName: string): Meter | undefined {
    return [...this.meters.values()].find(
      ({ event_name, status }) => event_name === eventName && status === 'active',
    );
  }

  #now(): number {
    return Math.floor(this.#clock.now() / 1000);
  }
}
