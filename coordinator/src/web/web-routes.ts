/**
 * The renter's pages as routes. Every page is complete HTML; the browser's modules only add to it. What goes wrong
 * is shown as a page too.
 */
import { Type } from 'typebox';
import { AppError } from '@dc/shared/errors';
import { PUBLIC_KEY_PATTERN } from '@dc/shared/crypto/public-key';
import { UUID_V7_PATTERN } from '@dc/shared/ids';
import type { Context } from '../context.ts';
import type { AccountPrincipal } from '../http/principal.ts';
import { streamRoute, type Route } from '../http/route.ts';
import { NO_FILTER, parseFilter, readFields } from './offering-filter.ts';
import { adminPage } from './pages/admin-page.ts';
import { contractPage } from './pages/contract-page.ts';
import type { Viewer } from './pages/contract-parts.ts';
import { contractsPage } from './pages/contracts-page.ts';
import { invoicesPage } from './pages/invoices-page.ts';
import { accountPage, loginPage } from './pages/login-page.ts';
import { offeringsPage } from './pages/offerings-page.ts';
import { providerPage } from './pages/provider-page.ts';
import { rentPage } from './pages/rent-page.ts';
import { statementPage } from './pages/statement-page.ts';
import { walletPage } from './pages/wallet-page.ts';
import { sendAsset } from './send-page.ts';
import { Site, type FailedInput, type PageAnswer, type PageInput } from './site.ts';
import { sliceWebData } from './slice-web-data.ts';
import type { WebData } from './web-data.ts';

/** The pages, and the page for a failure that happens outside of them. */
export interface Web {
  routes: Route[];
  /** Answers a browser that asked for a page with the page for `error`: unknown addresses, rate limits, bugs. */
  sendError(input: FailedInput, error: AppError): Promise<void>;
}

/** The routes of the pages. */
export function webRoutes(context: Context, data?: WebData): Route[] {
  return buildWeb(context, data).routes;
}

/** The routes of the pages and what belongs to them. Assets are loaded when the first page is asked for. */
export function buildWeb(context: Context, data: WebData = sliceWebData(context)): Web {
  const site = new Site(context, data);
  return {
    routes: [
      site.page('/', 'The offerings, with a filter.', (input) => showOfferings(data, input)),
      site.page('/offerings/:id', 'Renting one offering.', (input) => showOffering(data, input)),
      site.page('/login', 'Signing in, or who is signed in.', (input) => showLogin(data, input)),
      site.page('/admin', 'What waits for the operator.', (input) => showAdmin(data, input)),
      site.page('/wallet', 'The caller’s wallet.', (input) => showWallet(data, input)),
      site.page('/invoices', 'The caller’s invoices and spending.', (input) => showInvoices(data, input)),
      site.page('/pay/return', 'Back from a payment provider.', (input) => showReturn(data, input)),
      site.page('/contracts', 'The caller’s contracts.', (input) => showContracts(data, input)),
      site.page('/contracts/:id', 'One contract, live.', (input) => showContract(data, input)),
      site.page('/providers/:id', 'One provider: agents, evidence, offerings.', (input) =>
        showProvider(data, input),
      ),
      site.page('/providers/:id/statement', 'A provider’s month: earned, paid, owed.', (input) =>
        showStatement(data, input),
      ),
      assetRoute(site),
    ],
    sendError: (input, error) => site.sendError(input, error),
  };
}

async function showOfferings(data: WebData, input: PageInput): Promise<PageAnswer> {
  const fields = readFields(input.raw.request.query);
  const { filter, problems } = parseFilter(fields);
  const [page, countries] = await Promise.all([data.listOfferings(filter), data.listCountries()]);
  return offeringsPage({ fields, problems, countries, page });
}

async function showOffering(data: WebData, { params, principal }: PageInput): Promise<PageAnswer> {
  const offering = await data.findOffering(parseId(params.id, UUID, 'OFFERING_NOT_FOUND'));
  if (offering === null) throw new AppError('OFFERING_NOT_FOUND');
  const account = principal.kind === 'account' ? await data.findAccount(principal.account) : null;
  const wallet = principal.kind === 'account' ? await data.findWallet?.(principal) : null;
  const { currency } = offering.price_per_hour;
  const walletBalance = wallet?.balances.find((balance) => balance.currency === currency) ?? null;
  const tokenRates = await data.findTokenRates?.();
  const paymentMethods = data.paymentMethods();
  return rentPage({ offering, account, paymentMethods, walletBalance, ...(tokenRates && { tokenRates }) });
}

async function showLogin(data: WebData, { principal, raw }: PageInput): Promise<PageAnswer> {
  const account = principal.kind === 'account' ? await data.findAccount(principal.account) : null;
  if (account !== null) return accountPage(account);
  const { next } = raw.request.query as { next?: unknown };
  return loginPage(isOwnPath(next) ? next : '/contracts');
}

async function showAdmin(data: WebData, { principal }: PageInput): Promise<PageAnswer> {
  if (principal.kind !== 'account') return { redirectTo: '/login?next=/admin' };
  const admin = (await data.findAdmin?.(principal)) ?? null;
  if (admin === null) throw new AppError('ROUTE_NOT_FOUND');
  return adminPage(admin);
}

async function showWallet(data: WebData, { principal }: PageInput): Promise<PageAnswer> {
  if (principal.kind !== 'account') return { redirectTo: '/login?next=/wallet' };
  const wallet = (await data.findWallet?.(principal)) ?? null;
  if (wallet === null) throw new AppError('ROUTE_NOT_FOUND');
  return walletPage(wallet);
}

async function showInvoices(data: WebData, { principal, raw }: PageInput): Promise<PageAnswer> {
  if (principal.kind !== 'account') return { redirectTo: '/login?next=/invoices' };
  const { contract, cursor } = raw.request.query as { contract?: unknown; cursor?: unknown };
  const contractId = typeof contract === 'string' && UUID.test(contract) ? contract : null;
  // A cursor that is none starts at the beginning: an old link is no reason for an error.
  const start = typeof cursor === 'string' && /^[0-9]{1,15}~[A-Z0-9-]{1,40}$/.test(cursor) ? cursor : null;
  const shown = await data.findInvoices?.(principal, contractId, start);
  if (shown === undefined) throw new AppError('ROUTE_NOT_FOUND');
  return invoicesPage(shown, contractId);
}

/** What the address says of the payment is not believed: the provider is asked. */
async function showReturn(data: WebData, { raw }: PageInput): Promise<PageAnswer> {
  const { payment } = raw.request.query as { payment?: unknown };
  const isKey = typeof payment === 'string' && /^(?:contract|extension|top-up):[0-9a-f-]{36}$/.test(payment);
  const path = isKey ? await data.returnFromPayment?.(payment) : null;
  if (path == null) throw new AppError('PAYMENT_NOT_FOUND');
  return { redirectTo: path };
}

async function showContracts(data: WebData, { principal, raw, now }: PageInput): Promise<PageAnswer> {
  if (principal.kind !== 'account') return { redirectTo: '/login?next=/contracts' };
  const { cursor } = raw.request.query as { cursor?: unknown };
  const start = typeof cursor === 'string' && UUID.test(cursor) ? cursor : null;
  return contractsPage(await data.listContracts(principal, start), now);
}

async function showContract(data: WebData, { params, principal, now }: PageInput): Promise<PageAnswer> {
  const id = parseId(params.id, UUID, 'CONTRACT_NOT_FOUND');
  if (principal.kind !== 'account') return { redirectTo: `/login?next=/contracts/${id}` };
  const contract = await data.findContract(principal, id);
  if (contract === null) throw new AppError('CONTRACT_NOT_FOUND');
  const provider = await data.findProvider(contract.provider_pubkey);
  return contractPage({
    contract,
    providerName: provider?.name ?? 'a provider',
    usage: (await data.findUsage?.(principal, id)) ?? null,
    viewer: viewerOf(principal, contract.provider_pubkey),
    now,
  });
}

/** Whoever may see a contract and is neither its provider nor an administrator is its renter. */
function viewerOf({ account, isAdmin }: AccountPrincipal, provider: string): Viewer {
  if (isAdmin) return 'admin';
  return account === provider ? 'provider' : 'renter';
}

async function showProvider(data: WebData, { params, principal }: PageInput): Promise<PageAnswer> {
  const pubkey = parseId(params.id, PUBLIC_KEY, 'PROVIDER_NOT_FOUND');
  const provider = await data.findProvider(pubkey);
  if (provider === null) throw new AppError('PROVIDER_NOT_FOUND');
  const { items } = await data.listOfferings({ ...NO_FILTER, provider: pubkey });
  const uptime = await data.findUptime(pubkey);
  const attention = principal.kind === 'account' ? await data.findAttention(principal, pubkey) : null;
  return providerPage({ provider, offerings: items, uptime, attention });
}

async function showStatement(data: WebData, { params, principal, raw, now }: PageInput): Promise<PageAnswer> {
  const pubkey = parseId(params.id, PUBLIC_KEY, 'PROVIDER_NOT_FOUND');
  if (principal.kind !== 'account') return { redirectTo: `/login?next=/providers/${pubkey}` };
  const { month } = raw.request.query as { month?: unknown };
  const isMonth = typeof month === 'string' && /^\d{4}-(0[1-9]|1[0-2])$/.test(month);
  const wanted = isMonth ? month : new Date(now).toISOString().slice(0, 7);
  const statement = (await data.findStatement?.(principal, pubkey, wanted)) ?? null;
  if (statement === null) throw new AppError('PROVIDER_NOT_FOUND');
  return statementPage(statement);
}

function assetRoute(site: Site): Route {
  return streamRoute({
    method: 'GET',
    url: '/assets/:name',
    permission: 'public',
    summary: 'A file that pages load; its name changes with its content.',
    schema: { params: Type.Object({ name: Type.String() }), response: Type.String() },
    errors: ['ROUTE_NOT_FOUND'],
    produces: 'application/octet-stream',
    // A page loads several at once, and each costs as little as refusing it would.
    isExemptFromRateLimits: true,
    async handle({ params, raw }) {
      const asset = (await site.assets()).byName.get(params.name);
      if (asset === undefined) throw new AppError('ROUTE_NOT_FOUND');
      await sendAsset(raw, asset);
    },
  });
}

const UUID = new RegExp(UUID_V7_PATTERN);
const PUBLIC_KEY = new RegExp(PUBLIC_KEY_PATTERN);

/** An id from a path. What cannot be one is not there. */
function parseId(
  id: string | undefined,
  pattern: RegExp,
  code: 'OFFERING_NOT_FOUND' | 'CONTRACT_NOT_FOUND' | 'PROVIDER_NOT_FOUND',
): string {
  if (id === undefined || !pattern.test(id)) throw new AppError(code);
  return id;
}

/** Whether `next` is a path of a page here: anything else could send the reader to another site after signing in. */
function isOwnPath(next: unknown): next is string {
  return (
    typeof next === 'string' &&
    /^\/(?:contracts|offerings|providers|wallet|invoices|admin)?(?:\/[0-9a-f-]{1,64})?$/.test(next)
  );
}
