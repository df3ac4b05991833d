/**
 * The rules of the ledger's tables, once for both engines: which rows their triggers refuse, and why. SQLite has
 * triggers with statements, PostgreSQL triggers that call functions: `ledgerTriggers` is the only place that knows.
 * Part of migration 0007: mend it with a new one.
 */

export type SqlDialect = 'sqlite' | 'postgres';

/** Refuses with `message` where `condition` holds; `new` is the row. */
interface Refusal {
  message: string;
  condition: string;
  /** Set where only one engine needs it. */
  only?: SqlDialect;
}

interface LedgerTrigger {
  name: string;
  table: string;
  event: 'insert' | 'update' | 'delete';
  refusals: readonly Refusal[];
}

const TABLES = ['ledger_sets', 'ledger_postings', 'ledger_seals'] as const;

/** Accounts that exist once a currency, and those that exist once a name. */
const SINGLE_ACCOUNTS = ['payment_fees', 'platform_revenue', 'taxes'];
const CONTRACT_ACCOUNTS = ['escrow', 'refund_due', 'renter_credit'];
const NEVER_BELOW_ZERO = [
  ...CONTRACT_ACCOUNTS,
  ...['renter_wallet', 'wallet_refund_due', 'dispute_held', 'payout_in_flight'],
];
const NAMED_ACCOUNTS = [...NEVER_BELOW_ZERO, 'processor', 'provider_payable', 'dispute_withdrawn'];

/** Kinds that put a renter's money into an escrow; and those that park it outside for a while. */
const PAYING_KINDS = ['payment_received', 'paid_from_wallet'];
const PARKING_KINDS = ['dispute_opened', 'dispute_won'];

const list = (words: readonly string[]): string => words.map((word) => `'${word}'`).join(', ');
// Not LIKE: the underscore in a kind would stand for any letter.
const isNamed = (account: string, kinds: readonly string[]): string => {
  const tests = kinds.map((kind) => {
    const prefix = `${kind}:`;
    const { length } = prefix;
    return `substr(${account}, 1, ${String(length)}) = '${prefix}' and length(${account}) > ${String(length)}`;
  });
  return `(${tests.join(' or ')})`;
};
const balance = (of: string): string =>
  `(select sum(amount_e9s) from ledger_postings p where p.account = ${of}.account and p.currency = ${of}.currency)`;

const POSTING_REFUSALS: readonly Refusal[] = [
  {
    message: 'append only',
    condition: 'exists (select 1 from ledger_postings where set_id = new.set_id and line = new.line)',
  },
  {
    message: 'the set is sealed',
    condition: 'exists (select 1 from ledger_seals where set_id = new.set_id)',
  },
  {
    // PostgreSQL's column takes nothing else.
    message: 'an amount is an integer',
    condition: "typeof(new.amount_e9s) <> 'integer'",
    only: 'sqlite',
  },
  {
    message: 'there is no such account',
    condition: `not (new.account in (${list(SINGLE_ACCOUNTS)}) or ${isNamed('new.account', NAMED_ACCOUNTS)})`,
  },
  {
    message: 'the account belongs to another contract',
    condition: `${isNamed('new.account', CONTRACT_ACCOUNTS)} and not exists (
      select 1 from ledger_sets where id = new.set_id and contract_id is not null
        and new.account in (${CONTRACT_ACCOUNTS.map((kind) => `'${kind}:' || contract_id`).join(', ')}))`,
  },
];

const SEAL_REFUSALS: readonly Refusal[] = [
  { message: 'append only', condition: 'exists (select 1 from ledger_seals where set_id = new.set_id)' },
  {
    message: 'the set does not balance',
    condition: `(select count(*) < 2 or sum(amount_e9s) <> 0 from ledger_postings where set_id = new.set_id)`,
  },
  {
    message: 'the account cannot go below zero',
    condition: `exists (
      select 1 from ledger_postings touched where touched.set_id = new.set_id
        and touched.amount_e9s < 0 and ${isNamed('touched.account', NEVER_BELOW_ZERO)} and ${balance('touched')} < 0)`,
  },
  {
    // A lost dispute may take back what was paid out; a payout never takes what is not owed.
    message: 'a payout cannot exceed what is owed',
    condition: `exists (
      select 1 from ledger_sets s join ledger_postings touched on touched.set_id = s.id
      where s.id = new.set_id and s.kind = 'payout_requested'
        and ${isNamed('touched.account', ['provider_payable'])} and ${balance('touched')} < 0)`,
  },
  {
    // Whatever leaves an escrow counts, whatever it is called; only a payment counts as paid.
    message: 'released and refunded exceed paid',
    condition: `exists (
      select 1 from ledger_sets s where s.id = new.set_id and s.contract_id is not null
        and (select sum(p.amount_e9s) from ledger_postings p join ledger_sets moved on moved.id = p.set_id
             where p.account = 'escrow:' || s.contract_id and p.currency = s.currency
               and moved.kind not in (${list(PARKING_KINDS)})
               and (p.amount_e9s < 0 or moved.kind in (${list(PAYING_KINDS)}))) < 0)`,
  },
];

/** By name: SQLite drops them by it. The first migration made triggers of the same names. */
export const LEDGER_TRIGGERS: readonly LedgerTrigger[] = [
  ...TABLES.flatMap((table) =>
    (['update', 'delete'] as const).map((event): LedgerTrigger => ({
      name: `${table}_no_${event}`,
      table,
      event,
      refusals: [{ message: 'append only', condition: 'true' }],
    })),
  ),
  {
    name: 'ledger_sets_insert',
    table: 'ledger_sets',
    event: 'insert',
    refusals: [
      {
        // INSERT OR REPLACE removes the old row without a delete trigger unless recursive triggers are on.
        message: 'append only',
        condition: 'exists (select 1 from ledger_sets where id = new.id or cause = new.cause)',
      },
    ],
  },
  {
    name: 'ledger_postings_insert',
    table: 'ledger_postings',
    event: 'insert',
    refusals: POSTING_REFUSALS,
  },
  { name: 'ledger_seals_insert', table: 'ledger_seals', event: 'insert', refusals: SEAL_REFUSALS },
];

/** The statements that make the triggers. */
export function ledgerTriggers(dialect: SqlDialect): string[] {
  return LEDGER_TRIGGERS.flatMap(({ refusals, ...trigger }) => {
    const wanted = refusals.filter(({ only = dialect }) => only === dialect);
    return dialect === 'sqlite' ? sqliteTrigger(trigger, wanted) : postgresTrigger(trigger, wanted);
  });
}

type Named = Omit<LedgerTrigger, 'refusals'>;

function sqliteTrigger({ name, table, event }: Named, refusals: readonly Refusal[]): string[] {
  const body = refusals.map(
    ({ message, condition }) => `select raise(abort, 'ledger: ${message}') where ${condition};`,
  );
  return [`create trigger ${name} before ${event} on ${table} begin ${body.join('\n')} end`];
}

/**
 * PostgreSQL runs transactions side by side: two of them could each find enough in an account. A seal therefore locks
 * the accounts that its set takes from, in one order, until its transaction ends.
 */
const POSTGRES_LOCK = `perform pg_advisory_xact_lock(hashtextextended(account || ' ' || currency, 0))
  from (select distinct account, currency from ledger_postings
        where set_id = new.set_id and amount_e9s < 0 order by account) taken;`;

function postgresTrigger({ name, table, event }: Named, refusals: readonly Refusal[]): string[] {
  const checks = refusals.map(
    ({ message, condition }) => `if ${condition} then
      raise exception 'ledger: ${message}' using errcode = 'integrity_constraint_violation'; end if;`,
  );
  const lock = name === 'ledger_seals_insert' ? POSTGRES_LOCK : '';
  const statements = [
    `create or replace function ${name}() returns trigger language plpgsql as $$
      begin ${lock} ${checks.join('\n')} return new; end $$`,
    `create or replace trigger ${name} before ${event} on ${table} for each row execute function ${name}()`,
  ];
  // What a row trigger does not see.
  if (event === 'delete')
    statements.push(
      `create or replace trigger ${table}_no_truncate before truncate on ${table} execute function ${name}()`,
    );
  return statements;
}
