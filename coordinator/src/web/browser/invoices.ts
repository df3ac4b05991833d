/** The page of invoices: saves what stands on them, and the limits of spending. */
import type { WireMoney } from '@dc/shared/money/money';
import { callApi, problemText } from './api.ts';
import { byId, setProblem, whileBusy } from './dom.ts';
import { parseAmount } from './parse-amount.ts';

byId('profile', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  void whileBusy(byId('profile-save', HTMLButtonElement), 'Saving…', () => save('profile', saveProfile));
});
byId('limits', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  void whileBusy(byId('limit-save', HTMLButtonElement), 'Saving…', () => save('limit', saveLimits));
});

async function save(name: string, call: () => Promise<void>): Promise<void> {
  setProblem(name, '');
  try {
    await call();
  } catch (error) {
    setProblem(name, problemText(error));
  }
}

async function saveProfile(): Promise<void> {
  const text = (id: string): string => byId(id, HTMLInputElement).value.trim();
  const vat = text('vat')
    .replaceAll(/[\s.-]/g, '')
    .toUpperCase();
  const profile = {
    name: text('name'),
    address: byId('address', HTMLTextAreaElement).value.replaceAll('\r', '').trim(),
    country: text('country').toUpperCase(),
    vat_number: vat === '' ? null : vat,
  };
  await callApi('PUT', '/billing-profile', { body: JSON.stringify(profile) });
  location.reload();
}

async function saveLimits(): Promise<void> {
  const parts = byId('limit', HTMLInputElement)
    .value.split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const limits = parts.map(parseAmount).filter((amount): amount is WireMoney => amount !== null);
  if (limits.length < parts.length) {
    setProblem('limit', 'Write it like "100.00 USD".');
    return;
  }
  await callApi('PUT', '/spending/limits', { body: JSON.stringify({ limits }) });
  location.reload();
}
