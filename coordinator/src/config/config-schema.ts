/**
 * What may be written in dc-coordinator.toml. The descriptions, defaults and examples are what the problems of a
 * wrong file and docs/configuration.md show.
 */
import { Type, type Static, type TProperties } from 'typebox';
import { LOG_LEVELS } from '../lib/log.ts';
import { EXCHANGE_NAMES } from '../prices/exchange-formats.ts';

const closed = <P extends TProperties>(properties: P, description: string) =>
  Type.Object(properties, { additionalProperties: false, description });

const seconds = (description: string, least: number, value: number) =>
  Type.Integer({
    description: `seconds; ${description}`,
    minimum: least,
    maximum: 31_536_000,
    default: value,
  });

const perMinute = (description: string, value: number) =>
  Type.Integer({ description, minimum: 1, maximum: 10_000_000, default: value });

const wholeUnits = (description: string, value: number) =>
  Type.Integer({ description, minimum: 0, maximum: 1_000_000_000, default: value });

const secretFile = (what: string, example: string) =>
  Type.String({
    minLength: 1,
    description: `the file with ${what}, readable by its owner alone; relative to this file`,
    examples: [example],
  });

const apiBase = (who: string, value: string) =>
  Type.String({
    pattern: '^https?://[^/?#\\s]+/?$',
    description: `where ${who} is; anything else than its own address must be on loopback (a stand-in for tests)`,
    default: value,
  });

const StripeSchema = closed(
  {
    secret_key_file: secretFile('the secret or restricted key of Stripe', '/etc/dc-coordinator/stripe.key'),
    webhook_secret_file: secretFile(
      'the secret of the webhook endpoint, which `dc-coordinator admin stripe setup` writes',
      '/etc/dc-coordinator/stripe-webhook.secret',
    ),
    api_base: apiBase('Stripe', 'https://api.stripe.com'),
    capture: Type.Enum(['at_delivery', 'at_once'], {
      description:
        'when the money of a rental is taken: at_delivery authorises first, and offers only methods that can; at_once offers all methods, also those that take days',
      default: 'at_delivery',
    }),
    automatic_tax: Type.Boolean({
      description: 'Stripe computes tax and adds it to the price',
      default: false,
    }),
    invoices: Type.Boolean({
      description: 'Stripe sends an invoice after each payment; needs capture = "at_once"',
      default: false,
    }),
    usage_meter: Type.Optional(
      Type.String({
        pattern: '^[a-z0-9_]{1,100}$',
        description:
          'the event name of a meter that is told of each charge for use beyond the rent, in thousandths of a unit; `dc-coordinator admin stripe setup` makes it. For reports only: attach no price to it',
        examples: ['use_beyond_the_rent'],
      }),
    ),
  },
  'payments by Stripe: cards and more',
);

/** The token in which something is paid. */
const TOKEN = {
  token_symbol: Type.String({
    pattern: '^[A-Z][A-Z0-9]{2,9}$',
    description: 'how exchanges call the token, or what it stands for: rates are asked for under this name',
    examples: ['USDC'],
  }),
  token_decimals: Type.Integer({
    minimum: 0,
    maximum: 18,
    description: 'the decimals of its ledger',
    examples: [6],
  }),
};

const IcpaySchema = closed(
  {
    secret_key_file: secretFile('the secret key of ICPay', '/etc/dc-coordinator/icpay.key'),
    webhook_secret_file: secretFile('the secret of its webhook', '/etc/dc-coordinator/icpay-webhook.secret'),
    publishable_key: Type.String({ minLength: 1, description: 'the publishable key', examples: ['pk_…'] }),
    api_base: apiBase('ICPay', 'https://api.icpay.org'),
    checkout_url: Type.String({
      pattern: '^https?://\\S+$',
      description:
        'the page where an intent is paid, with ICPay’s widget or hosted by it; {intent} and {return} are replaced',
      examples: ['https://pay.example.net/?intent={intent}&return={return}'],
    }),
    token: Type.String({
      minLength: 1,
      description: 'the short code of the token that is taken',
      examples: ['ic_ckusdc'],
    }),
    ...TOKEN,
    ledger_canister_id: Type.String({
      minLength: 1,
      description: 'the canister of that token’s ledger; what comes from another one pays nothing',
      examples: ['xevnm-gaaaa-aaaar-qafnq-cai'],
    }),
    webhook_signature: Type.Enum(['timed', 'bare'], {
      description:
        'timed: t=…,v1=… over the time and the body; bare: the HMAC of the body alone, which ages never',
      default: 'timed',
    }),
  },
  'payments by ICPay: tokens',
);

const canister = (what: string, example: string) =>
  Type.String({ pattern: '^[a-z0-9-]{5,63}$', description: `the canister of ${what}`, examples: [example] });

const Icrc1Schema = closed(
  {
    key_file: secretFile(
      'the key of the wallet, 32 random bytes in hex; never in the database',
      '/etc/dc-coordinator/payout-wallet.key',
    ),
    api_base: apiBase('the Internet Computer', 'https://icp-api.io'),
    ledger_canister_id: canister('the token’s ledger', 'xevnm-gaaaa-aaaar-qafnq-cai'),
    index_canister_id: canister('its index', 'xrs4b-hiaaa-aaaar-qafoa-cai'),
    ...TOKEN,
    transfer_fee: Type.Integer({
      minimum: 0,
      description: 'what the ledger takes for a transfer, in base units: out of what is sent',
      examples: [10_000],
    }),
  },
  'payouts as ICRC-1 transfers from a wallet of the platform’s own',
);

export const RawConfigSchema = closed(
  {
    environment: Type.String({
      pattern: '^[a-z0-9][a-z0-9-]{0,31}$',
      description:
        'the name of this installation: lower-case letters, digits and dashes; part of every seal, order and record, so that two never mix',
      examples: ['prod'],
    }),
    public_url: Type.String({
      pattern: '^https?://[^/?#\\s]+/?$',
      description: 'the address under which renters and agents reach it, without a path',
      examples: ['https://rent.example.net'],
    }),
    data_dir: Type.String({
      minLength: 1,
      description: 'the folder of the database and the key; relative to this file',
      default: '/var/lib/dc-coordinator',
    }),
    key_file: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'the coordinator’s own key, which agents pin; coordinator.key in data_dir unless given',
        examples: ['/var/lib/dc-coordinator/coordinator.key'],
      }),
    ),
    log_level: Type.Enum([...LOG_LEVELS], {
      description: 'what is logged, on standard error; debug has a line for every request',
      default: 'info',
    }),
    listen: closed(
      {
        host: Type.String({ minLength: 1, description: 'the address to listen on', default: '127.0.0.1' }),
        port: Type.Integer({
          minimum: 0,
          maximum: 65_535,
          description: 'the port to listen on; 0 lets the system choose',
          default: 8787,
        }),
        trusted_proxies: Type.Array(Type.String({ minLength: 1 }), {
          description: 'addresses or networks of proxies in front, whose X-Forwarded-For is believed',
          default: [],
          examples: [['127.0.0.1']],
        }),
      },
      'where it listens',
    ),
    metrics: closed(
      {
        enabled: Type.Boolean({ description: 'whether /metrics is served, on loopback only', default: true }),
        port: Type.Integer({ minimum: 0, maximum: 65_535, description: 'its port', default: 9787 }),
      },
      'OpenMetrics for monitoring',
    ),
    payments: closed(
      {
        test: Type.Boolean({
          description:
            'the payment method that settles at once and moves no money; only with a loopback public_url',
          default: false,
        }),
        wallet: Type.Boolean({
          description: 'whether renters can have a wallet, where one of the other methods can fill it',
          default: true,
        }),
        stripe: Type.Optional(StripeSchema),
        icpay: Type.Optional(IcpaySchema),
      },
      'how renters pay',
    ),
    prices: closed(
      {
        sources: Type.Array(Type.Enum([...EXCHANGE_NAMES]), {
          description: 'whose public price APIs are asked for the rates of tokens',
          default: [...EXCHANGE_NAMES],
          uniqueItems: true,
        }),
        max_age_s: seconds('a rate older than this does not count', 30, 600),
        max_deviation_percent: Type.Integer({
          minimum: 1,
          maximum: 50,
          description: 'a rate further than this from the median of all does not count',
          default: 3,
        }),
        min_sources: Type.Integer({
          minimum: 1,
          maximum: EXCHANGE_NAMES.length,
          description: 'so many must agree; with fewer, nothing can be paid in tokens',
          default: 2,
        }),
      },
      'what tokens cost',
    ),
    agents: closed(
      {
        heartbeat_interval_s: seconds('how often agents say that they live', 1, 15),
        offline_after_s: seconds('without a heartbeat for this long an agent is offline', 2, 50),
        lease_ttl_s: seconds('how long an agent holds work without renewing', 5, 60),
      },
      'what is expected of agents',
    ),
    contracts: closed(
      {
        request_timeout_s: seconds('an unpaid request is cancelled after this', 10, 3600),
        accept_timeout_s: seconds('a paid contract that nobody took is refunded after this', 10, 900),
        provision_timeout_s: seconds('a contract that is not delivered is refunded after this', 10, 1800),
        verify_timeout_s: seconds('how long to try to see the SSH host key ourselves', 1, 60),
      },
      'how long things may take',
    ),
    earning: closed(
      {
        release_interval_s: seconds('how often what was proved is released to providers', 60, 86_400),
      },
      'how providers earn',
    ),
    refunds: closed(
      {
        per_refund: wholeUnits('a larger refund waits for an admin', 1000),
        per_renter_a_day: wholeUnits('and so does what a renter gets back on a day (UTC) beyond this', 2000),
        per_day: wholeUnits('and so does what all renters together get back on a day beyond this', 20_000),
        units: Type.Record(Type.String({ pattern: '^[A-Z][A-Z0-9]{2,9}$' }), Type.Integer({ minimum: 1 }), {
          description: 'how many of a currency count as one in these bounds, where it is not one',
          default: {},
          examples: [{ JPY: 150 }],
        }),
      },
      'up to where refunds leave without a person, in whole units of the currency; what was never delivered always does',
    ),
    payouts: closed(
      {
        stripe_connect: Type.Boolean({
          description: 'whether providers can be paid by transfers to Stripe accounts of theirs (Connect)',
          default: false,
        }),
        cooling_s: seconds('a destination counts this long after its provider has set it', 60, 259_200),
        automatic: Type.Boolean({
          description:
            'whether what is owed is requested by itself, once a day, where a provider has a destination',
          default: false,
        }),
        minimum: wholeUnits('from how much on that is done', 10),
        icrc1: Type.Optional(Icrc1Schema),
      },
      'how providers are paid without a person',
    ),
    invoices: closed(
      {
        seller_name: Type.String({
          maxLength: 200,
          description: 'who sells; the host of public_url unless given',
          default: '',
          examples: ['Example Hosting Ltd'],
        }),
        seller_address: Type.String({
          maxLength: 500,
          description: 'in lines',
          default: '',
          examples: ['1 Example Street\n10115 Berlin'],
        }),
        seller_country: Type.String({
          pattern: '^([A-Z]{2})?$',
          description: 'ISO 3166 code; with vat_number it decides about the reverse charge',
          default: '',
          examples: ['DE'],
        }),
        vat_number: Type.String({
          maxLength: 20,
          description: 'of the seller',
          default: '',
          examples: ['DE123456789'],
        }),
        tax_note: Type.String({
          maxLength: 300,
          description: 'what invoices say where no tax is charged',
          default: '',
          examples: ['No VAT is charged (small business).'],
        }),
      },
      'what stands on invoices, receipts and credit notes; those that are issued do not change with it',
    ),
    archive: closed(
      {
        after_days: Type.Integer({
          description:
            'days after its end from which a contract is archived: what is personal in it is dropped',
          minimum: 30,
          maximum: 36_500,
          default: 180,
        }),
        retention_years: Type.Integer({
          description: 'whole years, after that of its end, for which the archive and its documents are kept',
          minimum: 1,
          maximum: 100,
          default: 10,
        }),
      },
      'contracts that ended long ago',
    ),
    rate_limits: closed(
      {
        per_key: perMinute('requests a minute of one key or session', 600),
        per_agent: perMinute('requests a minute of one agent', 6000),
        per_address: perMinute('unsigned or refused requests a minute of one address', 600),
      },
      'who may ask how often; a fifth of it at once',
    ),
  },
  'dc-coordinator.toml',
);

/** The file's content after checking, with defaults. */
export type RawConfig = Static<typeof RawConfigSchema>;
