/** The page of the wallet: asks for a top-up and goes to where it is paid. */
import type { WireMoney } from '@dc/shared/money/money';
import type { WireTopUp } from '@dc/shared/wire/wallet';
import { callApi, problemText } from './api.ts';
import { parseAmount } from './parse-amount.ts';
import { byId, chosenValue, setProblem, whileBusy } from './dom.ts';

const form = byId('top-up', HTMLFormElement);
/** The last order and its Idempotency-Key: the same again must not take the money twice. */
let lastOrder = { body: '', key: '' };

form.addEventListener('submit', (event) => {
  event.preventDefault();
  void whileBusy(byId('pay', HTMLButtonElement), 'Opening…', topUp);
});

async function topUp(): Promise<void> {
  setProblem('pay', '');
  const amount = readAmount();
  if (amount === null) return;
  const body = JSON.stringify({
    amount,
    payment_method: chosenValue(form, 'payment_method'),
  });
  if (body !== lastOrder.body) lastOrder = { body, key: crypto.randomUUID() };
  try {
    const headers = { 'idempotency-key': lastOrder.key };
    const { payment } = await callApi<WireTopUp>('POST', '/wallet/top-ups', { body, headers });
    location.assign(payment.checkout_url ?? '/wallet');
  } catch (error) {
    setProblem('pay', problemText(error));
  }
}

/** The amount in the field; null, with what is wrong said beside it, where there is none. */
function readAmount(): WireMoney | null {
  const { value } = byId('amount', HTMLInputElement);
  const amount = parseAmount(value);
  setProblem('amount', amount === null ? 'Write it like "20.00 USD".' : '');
  return amount;
}
