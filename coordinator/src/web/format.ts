/**
 * Numbers, sizes, times and keys as people read them. Runs on the server and in the browser; times come out in UTC
 * here, and the browser's `local-times.ts` puts them into the reader's own zone.
 */
import { formatMoney, type WireMoney } from '@dc/shared/money/money';
import { html, type Html } from './html.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** `12.50 USD`, exact. */
export function moneyText(wire: WireMoney): string {
  return formatMoney({ amountE9s: BigInt(wire.amount_e9s), currency: wire.currency });
}

/** `512 MB`, `2 GB`, `1.5 GB`; exact, in steps of 1024. */
export function memoryText(megabytes: number): string {
  return megabytes < 1024 ? `${megabytes} MB` : `${megabytes / 1024} GB`;
}

/** `1 hour`, `36 hours`, `3 days`: days only where nothing is left over and there are at least two. */
export function hoursText(hours: number): string {
  if (hours % 24 === 0 && hours >= 48) return `${hours / 24} days`;
  return hours === 1 ? '1 hour' : `${hours} hours`;
}

/** A length of time: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 4 min`, `3 days 4 h`. Rounded down, never below zero. */
export function durationText(durationMs: number): string {
  const ms = Math.max(0, durationMs);
  if (ms < 10 * SECOND_MS) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  if (ms < MINUTE_MS) return `${Math.floor(ms / SECOND_MS)} s`;
  if (ms < HOUR_MS) return pair(ms, [MINUTE_MS, 'min'], [SECOND_MS, 's']);
  if (ms < 2 * DAY_MS) return pair(ms, [HOUR_MS, 'h'], [MINUTE_MS, 'min']);
  return pair(ms, [DAY_MS, 'days'], [HOUR_MS, 'h']);
}

/** The same for what is over, in milliseconds below a second: `480 ms`. */
export function shortDurationText(durationMs: number): string {
  return durationMs < SECOND_MS ? `${Math.max(0, Math.round(durationMs))} ms` : durationText(durationMs);
}

function pair(ms: number, [bigMs, big]: [number, string], [smallMs, small]: [number, string]): string {
  const rest = Math.floor((ms % bigMs) / smallMs);
  const first = `${Math.floor(ms / bigMs)} ${big}`;
  return rest === 0 ? first : `${first} ${rest} ${small}`;
}

const UTC_TIME = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  timeZone: 'UTC',
});

/** `20 Nov 2026, 14:03 UTC`. */
export function utcText(timestamp: string): string {
  return `${UTC_TIME.format(new Date(timestamp))} UTC`;
}

/** A time in UTC that the browser rewrites in the reader's zone. */
export function timeElement(timestamp: string): Html {
  return html`<time datetime="${timestamp}" data-local>${utcText(timestamp)}</time>`;
}

const COUNTRY_NAMES = new Intl.DisplayNames('en', { type: 'region', fallback: 'code' });

/** `Germany` for `DE`; the code itself where nobody knows it. */
export function countryText(code: string): string {
  return COUNTRY_NAMES.of(code) ?? code;
}

/** How an account without a name is called: never by all 64 digits of its key. */
export function accountText(account: { username: string | null; pubkey: string }): string {
  return account.username ?? `account ${account.pubkey.slice(0, 6)}`;
}
