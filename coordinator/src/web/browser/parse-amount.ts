/** An amount of money as people write it. */
import type { WireMoney } from '@dc/shared/money/money';

/** `20.00 USD`, `15 eur`; null for what is none. */
export function parseAmount(text: string): WireMoney | null {
  const match = /^([1-9]\d{0,6}|0)(?:\.(\d{1,9}))?\s*([a-z]{3,5})$/i.exec(text.trim());
  if (match === null) return null;
  const [, whole = '', decimals = '', currency = ''] = match;
  const amountE9s = BigInt(whole) * 1_000_000_000n + BigInt(decimals.padEnd(9, '0'));
  return { amount_e9s: String(amountE9s), currency: currency.toUpperCase() };
}
