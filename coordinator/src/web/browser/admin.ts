/** The operator's page: says that an event was seen to, and decides about refunds. */
import { callApi, problemText } from './api.ts';
import { setProblem, whileBusy } from './dom.ts';

for (const button of document.querySelectorAll<HTMLButtonElement>('[data-dismiss]')) {
  const [method = '', id = ''] = button.dataset['dismiss']?.split('/') ?? [];
  button.addEventListener('click', () => {
    void whileBusy(button, 'Dismissing…', async () => {
      setProblem('admin', '');
      try {
        const path = `/admin/payment-events/${encodeURIComponent(method)}/${encodeURIComponent(id)}/dismiss`;
        await callApi('POST', path, { body: '{}' });
        button.closest('li')?.remove();
      } catch (error) {
        setProblem('admin', problemText(error));
      }
    });
  });
}

for (const form of document.querySelectorAll<HTMLFormElement>('[data-refund]')) {
  const id = form.dataset['refund'] ?? '';
  form.addEventListener('submit', (event) => event.preventDefault());
  for (const button of form.querySelectorAll<HTMLButtonElement>('[data-decide]')) {
    const step = button.dataset['decide'] ?? '';
    button.addEventListener('click', () => {
      void whileBusy(button, 'Sending…', () => decide(form, id, step));
    });
  }
}

async function decide(form: HTMLFormElement, id: string, step: string): Promise<void> {
  const field = form.querySelector('input');
  const reason = field?.value.trim() ?? '';
  setProblem('admin', step === 'decline' && reason === '' ? 'The renter reads why: write a reason.' : '');
  if (step === 'decline' && reason === '') return field?.focus();
  try {
    const body = JSON.stringify(reason === '' ? {} : { reason });
    await callApi('POST', `/admin/refund-requests/${id}/${step}`, { body });
    form.closest('li')?.remove();
  } catch (error) {
    setProblem('admin', problemText(error));
  }
}
