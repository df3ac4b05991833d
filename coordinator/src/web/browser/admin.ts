/** The operator's page: says that an event was seen to. */
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
