/** The port through which the pages read: what they show and nothing else. `slice-web-data.ts` asks the slices. */
import type { WireContract } from '@dc/shared/wire/contract';
import type { WireDispute, WireKeptEvent, WireRefundRequest } from '@dc/shared/wire/payment-admin';
import type { WireTokenRate } from '@dc/shared/wire/rate';
import type { WireBillingProfile, WireInvoice, WireSpending } from '@dc/shared/wire/invoices';
import type { WireWallet } from '@dc/shared/wire/wallet';
import type { WireOffering, WireProvider } from '@dc/shared/wire/offering';
import type { WireAttention, WireUptime } from '@dc/shared/wire/trust';
import type { WireUsage } from '@dc/shared/wire/usage';
import type { AccountPrincipal } from '../http/principal.ts';
import type { OfferingFilter } from './offering-filter.ts';

/** Whether an offering can be rented now, and if not, why. */
export type Stock = 'available' | 'sold_out' | 'draining' | 'offline' | 'paused';

/** An offering as the pages show it. */
export interface ShownOffering extends WireOffering {
  stock: Stock;
}

/** A page of a list. */
export interface Page<Item> {
  items: Item[];
  nextCursor: string | null;
}

/** A wallet as the pages show it. */
export interface ShownWallet extends WireWallet {
  /** With what it can be topped up. */
  methods: readonly string[];
}

/** A renter's invoices as the pages show them. */
export interface ShownInvoices {
  invoices: readonly WireInvoice[];
  nextCursor: string | null;
  profile: WireBillingProfile | null;
  spending: WireSpending;
}

/** A provider's month. */
export interface ShownStatement {
  provider: string;
  name: string;
  month: string;
  fromAt: number;
  /** Not included. */
  toAt: number;
  totals: readonly {
    currency: string;
    earnedE9s: bigint;
    paidOutE9s: bigint;
    inFlightE9s: bigint;
    payableE9s: bigint;
  }[];
  releases: readonly {
    contract_id: string;
    at: number;
    kind: string;
    amount_e9s: bigint;
    currency: string;
    payout_id: string | null;
  }[];
}

/** What waits for the operator. */
export interface ShownAdmin {
  disputes: readonly WireDispute[];
  events: readonly WireKeptEvent[];
  /** Refunds that wait for a decision; those that do not leave, however often they are tried. */
  refunds: readonly WireRefundRequest[];
  failingRefunds: readonly { key: string; attempts: number; lastError: string | null }[];
  /** Work that was tried until there was no sense in it. */
  stuck: readonly { topic: string; key: string; attempts: number; lastError: string | null }[];
}

/** The name of an account. */
export interface AccountName {
  pubkey: string;
  username: string | null;
  /** 1 for an operator of this site. */
  is_admin?: number;
}

/** Everything the pages read. Answers are what the caller may see; null where there is nothing to see. */
export interface WebData {
  listOfferings(filter: OfferingFilter): Promise<Page<ShownOffering>>;
  /** The countries that offerings are in, as ISO codes in alphabetical order. */
  listCountries(): Promise<string[]>;
  findOffering(id: string): Promise<ShownOffering | null>;
  findProvider(pubkey: string): Promise<WireProvider | null>;
  findUptime(pubkey: string): Promise<WireUptime>;
  /** What the provider has to look at, for itself and for administrators; null for everybody else. */
  findAttention(principal: AccountPrincipal, pubkey: string): Promise<WireAttention | null>;
  findAccount(pubkey: string): Promise<AccountName | null>;
  /** The caller's contracts as a renter, newest first. */
  listContracts(principal: AccountPrincipal, cursor: string | null): Promise<Page<WireContract>>;
  findContract(principal: AccountPrincipal, id: string): Promise<WireContract | null>;
  /** What was used of a contract that the caller may see, and what it costs beyond the rent. */
  findUsage?(principal: AccountPrincipal, id: string): Promise<WireUsage | null>;
  /** The payment methods offered here, in the order in which they are shown. */
  paymentMethods(): readonly string[];
  /** What the tokens of payment methods cost now, by method; those that are paid otherwise are missing. */
  findTokenRates?(): Promise<ReadonlyMap<string, WireTokenRate>>;
  /** What waits for the operator; null where the caller is none. */
  findAdmin?(principal: AccountPrincipal): Promise<ShownAdmin | null>;
  /** The caller's invoices, of one contract where asked for, and what belongs to them. */
  findInvoices?(
    principal: AccountPrincipal,
    contractId: string | null,
    cursor: string | null,
  ): Promise<ShownInvoices>;
  /** A provider's month, for itself and for admins; null for everybody else. */
  findStatement?(
    principal: AccountPrincipal,
    provider: string,
    month: string,
  ): Promise<ShownStatement | null>;
  /** The caller's wallet; null where there are none here. */
  findWallet?(principal: AccountPrincipal): Promise<ShownWallet | null>;
  /**
   * The payer is back from the payment provider: asks it for the truth, for a few seconds at most, and says which page
   * shows what came of it. Null for a payment that there is not.
   */
  returnFromPayment?(key: string): Promise<string | null>;
}
