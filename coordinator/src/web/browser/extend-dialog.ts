/** The dialog that extends: it shows the price of the hours that are typed before the renter confirms. */
import type { WireContract } from '@dc/shared/wire/contract';
import { hoursText, moneyText } from '../format.ts';
import { callApi, problemText } from './api.ts';
import { announce, byId, setProblem, whileBusy } from './dom.ts';

/** Starts the dialog. `current` answers the contract as it is now; `onChange` gets it as the answer says it is. */
export function startExtendDialog(
  current: () => WireContract,
  onChange: (contract: WireContract) => void,
): void {
  const dialog = byId('extend-dialog', HTMLDialogElement);
  const field = byId('extend-hours', HTMLInputElement);
  const confirm = byId('extend-confirm', HTMLButtonElement);
  // The same wish is the same key, also when its answer was lost.
  let idempotencyKey = crypto.randomUUID();

  const show = (): void => {
    const offer = current().may_extend ?? null;
    const hours = readHours(field, offer?.hours_max ?? 0);
    confirm.disabled = hours === null;
    byId('extend-note', HTMLElement).textContent =
      offer === null ? 'This contract cannot be extended now.' : `At most ${hoursText(offer.hours_max)}.`;
    byId('extend-price', HTMLElement).textContent =
      offer === null || hours === null ? '…' : moneyText(times(offer.price_per_hour, hours));
    confirm.textContent = hours === null ? 'Extend' : `Extend by ${hoursText(hours)}`;
  };

  document.addEventListener('click', (event) => {
    if (!(event.target instanceof Element) || event.target.closest('#extend-open') === null) return;
    idempotencyKey = crypto.randomUUID();
    setProblem('extend', '');
    const max = current().may_extend?.hours_max ?? 1;
    field.max = String(max);
    field.value = String(Math.min(24, max));
    dialog.showModal();
    show();
  });
  field.addEventListener('input', () => {
    idempotencyKey = crypto.randomUUID();
    show();
  });
  byId('extend-close', HTMLButtonElement).addEventListener('click', () => dialog.close());
  confirm.addEventListener('click', () => {
    const hours = readHours(field, Infinity);
    if (hours === null) return;
    void whileBusy(confirm, 'Extending…', async () => {
      try {
        const headers = { 'idempotency-key': idempotencyKey };
        const body = JSON.stringify({ hours });
        const contract = await callApi<WireContract>('POST', `/contracts/${current().id}/extend`, {
          body,
          headers,
        });
        dialog.close();
        onChange(contract);
        announce(`Asked for ${hoursText(hours)} more.`);
        byId('part-terms', HTMLElement).focus();
      } catch (error) {
        setProblem('extend', problemText(error));
      }
    });
  });
}

/** Null for what is no number of hours that can be had. */
function readHours(field: HTMLInputElement, max: number): number | null {
  const hours = /^\d{1,5}$/.test(field.value) ? Number(field.value) : 0;
  return hours >= 1 && hours <= max ? hours : null;
}

const times = (price: { amount_e9s: string; currency: string }, hours: number) => ({
  amount_e9s: String(BigInt(price.amount_e9s) * BigInt(hours)),
  currency: price.currency,
});
