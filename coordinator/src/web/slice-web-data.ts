/** The pages' data from the slices, read as the API's routes read it. */
import { isAppError } from '@dc/shared/errors';
import type { WireContract } from '@dc/shared/wire/contract';
import type { WireTokenRate } from '@dc/shared/wire/rate';
import { findAccount } from '../accounts/account-store.ts';
import type { Context } from '../context.ts';
import { maySee } from '../contracts/contract-rules.ts';
import { findContract } from '../contracts/contract-store.ts';
import { listContracts, viewRow } from '../contracts/contract-view.ts';
import type { AccountPrincipal } from '../http/principal.ts';
import {
  listOfferings,
  type ListedOffering,
  type OfferingFilter as StoreFilter,
} from '../offerings/offering-store.ts';
import { fromCursor, toCursor, viewOffering } from '../offerings/offering-view.ts';
import { findProvider } from '../offerings/provider-store.ts';
import { viewProvider } from '../offerings/provider-view.ts';
import { findRate, viewRate } from '../prices/token-price.ts';
import { viewAttention } from '../trust/attention.ts';
import { viewUptime } from '../trust/uptime-view.ts';
import { viewUsage } from '../usage/usage-view.ts';
import type { Payments } from '../payments/checkouts.ts';
import { moneyWebData } from './money-web-data.ts';
import type { OfferingFilter } from './offering-filter.ts';
import type { Page, ShownOffering, WebData } from './web-data.ts';

/** As many as a person reads before they would rather filter. */
const OFFERINGS_PER_PAGE = 30;
const CONTRACTS_PER_PAGE = 30;

/** The data of a running coordinator. */
export function sliceWebData(context: Context, payments: Payments = new Map()): WebData {
  const { db, clock, config } = context;
  const presence = () => ({ now: clock.now(), offlineAfterMs: config.agents.offlineAfterMs });
  return {
    async listOfferings(filter) {
      const rows = await listOfferings(db.read, storeFilter(filter), presence());
      const page = rows.slice(0, OFFERINGS_PER_PAGE);
      const last = page.at(-1);
      const hasMore = rows.length > page.length && last !== undefined;
      return { items: page.map(showOffering), nextCursor: hasMore ? toCursor(last) : null };
    },
    async listCountries() {
      const rows = await db.read
        .selectFrom('offerings')
        .select('country')
        .distinct()
        .where('retired_at', 'is', null)
        .orderBy('country')
        .execute();
      return rows.map(({ country }) => country);
    },
    async findOffering(id) {
      const [row] = await listOfferings(db.read, { words: [], id, limit: 1 }, presence());
      return row === undefined ? null : showOffering(row);
    },
    async findProvider(pubkey) {
      const row = await findProvider(db.read, pubkey);
      return row === null ? null : viewProvider(db.read, row, presence());
    },
    findUptime: (pubkey) => viewUptime(db.read, pubkey, presence()),
    async findAttention(principal, pubkey) {
      if (principal.account !== pubkey && !principal.isAdmin) return null;
      return viewAttention(db.read, pubkey, presence());
    },
    findAccount: (pubkey) => findAccount(db.read, pubkey),
    ...contractData(context),
    paymentMethods: () => (payments.size === 0 && config.payments.test ? ['test'] : [...payments.keys()]),
    findTokenRates: () => findTokenRates(context, payments),
    ...moneyWebData(context, payments),
  };
}

async function findTokenRates(
  { db, config, clock }: Context,
  payments: Payments,
): Promise<ReadonlyMap<string, WireTokenRate>> {
  const rates = new Map<string, WireTokenRate>();
  for (const { method, online } of payments.values()) {
    const token = online?.capabilities.token;
    if (token === undefined) continue;
    const pair = { token, currency: 'USD' };
    const choice = await findRate(db.read, pair, { config: config.prices, now: clock.now() });
    rates.set(method, viewRate(pair, choice));
  }
  return rates;
}

/** What the pages read of contracts. */
function contractData({ db, clock }: Context): Pick<WebData, 'listContracts' | 'findContract' | 'findUsage'> {
  return {
    async listContracts(principal, cursor): Promise<Page<WireContract>> {
      const filter = {
        party: { renter: principal.account },
        limit: CONTRACTS_PER_PAGE,
        cursor: cursor ?? undefined,
      };
      return listContracts(db.read, filter, clock.now());
    },
    async findContract(principal: AccountPrincipal, id): Promise<WireContract | null> {
      const row = await findContract(db.read, id);
      return row === null || !maySee(principal, row) ? null : viewRow(db.read, row, clock.now());
    },
    async findUsage(principal, id) {
      const row = await findContract(db.read, id);
      return row === null || !maySee(principal, row) ? null : viewUsage(db.read, row, clock.now());
    },
  };
}

const SHOWN_STOCK: Readonly<Record<ListedOffering['stock'], ShownOffering['stock']>> = {
  available: 'available',
  sold_out: 'sold_out',
  no_capacity: 'sold_out',
  draining: 'draining',
  unhealthy: 'offline',
  offline: 'offline',
  safe_mode: 'paused',
};

function showOffering(row: ListedOffering): ShownOffering {
  // Whether places or room ran out, and what exactly does not work, is the provider's concern.
  const stock = SHOWN_STOCK[row.stock];
  return { ...viewOffering(row), stock };
}

function storeFilter(filter: OfferingFilter): StoreFilter {
  return {
    words: filter.text?.split(/\s+/) ?? [],
    country: filter.country ?? undefined,
    provider: filter.provider ?? undefined,
    minCpu: filter.cpuMin ?? undefined,
    minMemoryMb: filter.memoryMbMin ?? undefined,
    maxPriceE9s: filter.priceMaxE9s ?? undefined,
    inStock: filter.inStockOnly ? true : undefined,
    after: readCursor(filter.cursor),
    limit: OFFERINGS_PER_PAGE + 1,
  };
}

/** A cursor that is none starts at the beginning: an old link is no reason for an error. */
function readCursor(cursor: string | null): StoreFilter['after'] {
  if (cursor === null) return undefined;
  try {
    return fromCursor(cursor);
  } catch (error) {
    if (isAppError(error, 'REQUEST_INVALID')) return undefined;
    throw error;
  }
}
