/** The dialog that cancels: it asks for the refund as it is now, shows it, and only then lets the renter confirm. */
import type { WireContract } from '@dc/shared/wire/contract';
import { moneyText } from '../format.ts';
import { callApi, problemText } from './api.ts';
import { announce, byId, setProblem, whileBusy } from './dom.ts';

// The refund falls with the time: while the dialog is open it is asked for again.
const REFRESH_MS = 5000;

/** Starts the dialog. `onChange` gets the contract as each answer says it is. */
export function startCancelDialog(contractId: string, onChange: (contract: WireContract) => void): void {
  const dialog = byId('cancel-dialog', HTMLDialogElement);
  const confirm = byId('cancel-confirm', HTMLButtonElement);
  const path = `/contracts/${contractId}`;
  const idempotencyKey = crypto.randomUUID();
  let timer = 0;

  const refresh = async (): Promise<void> => {
    try {
      const contract = await callApi<WireContract>('GET', path);
      onChange(contract);
      if (contract.refund_if_cancelled_now === null) {
        dialog.close();
        return;
      }
      const isPaid = contract.paid_at !== null;
      byId('cancel-refund', HTMLElement).textContent = isPaid
        ? moneyText(contract.refund_if_cancelled_now)
        : 'nothing: you have not paid';
      byId('cancel-note', HTMLElement).textContent = isPaid ? `of ${moneyText(contract.total)} paid` : '';
      confirm.disabled = false;
    } catch (error) {
      setProblem('cancel', problemText(error));
    }
    if (dialog.open) timer = setTimeout(() => void refresh(), REFRESH_MS);
  };

  document.addEventListener('click', (event) => {
    if (!(event.target instanceof Element) || event.target.closest('#cancel-open') === null) return;
    setProblem('cancel', '');
    byId('cancel-refund', HTMLElement).textContent = '…';
    confirm.disabled = true;
    dialog.showModal();
    void refresh();
  });
  byId('cancel-close', HTMLButtonElement).addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => clearTimeout(timer));
  confirm.addEventListener('click', () => {
    void whileBusy(confirm, 'Cancelling…', async () => {
      clearTimeout(timer);
      try {
        const headers = { 'idempotency-key': idempotencyKey };
        const contract = await callApi<WireContract>('POST', `${path}/cancel`, { body: '{}', headers });
        dialog.close();
        onChange(contract);
        const refunded =
          contract.refunded === null ? '' : ` ${moneyText(contract.refunded)} goes back to you.`;
        announce(`Cancelled.${refunded}`);
        byId('part-status', HTMLElement).focus();
      } catch (error) {
        setProblem('cancel', problemText(error));
      }
    });
  });
}
