/** The page that signs in, and out. */
import { problemText } from './api.ts';
import { setProblem, whileBusy } from './dom.ts';
import { startIdentityPanel } from './identity-panel.ts';
import { forgetKey } from './key-store.ts';
import { closeSession } from './sign-in.ts';

const login = document.getElementById('login');
if (login !== null) {
  await startIdentityPanel(() => {
    location.assign(login.dataset['next'] ?? '/');
  });
}

const logout = document.getElementById('logout');
if (logout instanceof HTMLButtonElement) {
  logout.addEventListener('click', () => {
    void whileBusy(logout, 'Logging out…', async () => {
      try {
        await closeSession();
        await forgetKey();
        location.assign('/login');
      } catch (error) {
        setProblem('logout', problemText(error));
      }
    });
  });
}
