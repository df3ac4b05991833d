/** Signing in, and what is known of who is signed in. */
import { accountText } from '../format.ts';
import { html } from '../html.ts';
import type { AccountName } from '../web-data.ts';
import { renderIdentityPanel } from './identity-panel.ts';
import type { PageParts } from './layout.ts';

/** The page for somebody who is not signed in. `next` is the path to go to afterwards. */
export function loginPage(next: string): PageParts {
  return {
    title: 'Sign in',
    section: 'account',
    script: 'login',
    main: html`<div class="narrow">
      <h1>Sign in</h1>
      <p class="lead">
        No mail address, no password: your account is a key, and 12 words bring it back anywhere.
      </p>
      <div id="login" class="card" data-next="${next}">${renderIdentityPanel(2)}</div>
    </div>`,
  };
}

/** The page for somebody who is. */
export function accountPage(account: AccountName): PageParts {
  return {
    title: 'Account',
    section: 'account',
    script: 'login',
    main: html`<div class="narrow">
      <h1>${accountText(account)}</h1>
      <section class="card" aria-labelledby="logout-title">
        <h2 id="logout-title">Signed in</h2>
        <p>
          Logging out also removes your key from this browser. You come back with your 12 words, so make sure
          that you have them.
        </p>
        <noscript><p class="notice">Logging out needs JavaScript.</p></noscript>
        <p class="problem" id="logout-problem" role="alert"></p>
        <p class="actions" data-script hidden>
          <button type="button" class="button" id="logout">Log out</button>
          <a href="/contracts">My contracts</a> <a href="/invoices">Invoices and spending</a>
          <a href="/wallet">Wallet</a>
        </p>
      </section>
      <details>
        <summary>Public key</summary>
        <p>This names your account in the API. It is no secret.</p>
        <code class="wrap">${account.pubkey}</code>
      </details>
    </div>`,
  };
}
