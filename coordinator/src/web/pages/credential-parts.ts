/** Password and SSH key on a contract's page: what is under way, the buttons, and the dialogs behind them. Pure. */
import { durationText, timeElement } from '../format.ts';
import { html, type Html } from '../html.ts';
import type { ContractView } from './contract-parts.ts';

const PENDING_TEXT = {
  reset_password: 'A new password is being made',
  rotate_ssh_key: 'The SSH key is being changed',
} as const;

/** The part of the page. Null where there is nothing to log in to, or for somebody else than the renter. */
export function renderCredentials({ contract, viewer, now }: ContractView): Html | null {
  const { state, access, credentials } = contract;
  if (viewer !== 'renter' || state !== 'active' || access === null) return null;
  const pending = credentials?.pending ?? null;
  const until = credentials?.password_until ?? null;
  const isKept = until !== null && Date.parse(until) > now;
  return html`<section class="card" aria-labelledby="credentials-title">
    <h2 id="credentials-title">Password and key</h2>
    ${
      pending !== null &&
      html`<p id="credentials-pending" role="status">
        ${PENDING_TEXT[pending.kind]}…
        <span class="quiet" data-since="${pending.since}"
          >${durationText(now - Date.parse(pending.since))}</span
        >
      </p>`
    }
    ${
      isKept &&
      html`<p>
        The password of <b>${access.user}</b> was made ${timeElement(credentials?.password_made_at ?? until)}.
        It is kept here, sealed to your account’s keys, until ${timeElement(until)}.
      </p>`
    }
    ${
      isKept &&
      credentials?.password_in_doubt === true &&
      html`<p class="notice">
        A later reset did not end well: whether this password still works is not known. Make a new one if it
        does not.
      </p>`
    }
    ${
      !isKept &&
      html`<p class="quiet">
        You log in with your SSH key. A password helps where there is none: at a console, or on a computer
        without the key.
      </p>`
    }
    <p class="actions" data-script hidden>
      ${isKept && html`<button type="button" class="button primary" id="password-show">Show password</button>`}
      <button type="button" class="button" id="password-new" ${pending !== null && html`disabled`}>
        New password…
      </button>
      <button type="button" class="button" id="key-change" ${pending !== null && html`disabled`}>
        Change SSH key…
      </button>
    </p>
    <noscript><p class="notice">This needs JavaScript: only your browser can open the password.</p></noscript>
  </section>`;
}

/** The dialogs of that part, outside of what is rendered again. */
export function renderCredentialDialogs(): Html {
  return html`${renderPasswordDialog()} ${renderKeyDialog()} ${renderSecretDialog()}`;
}

function renderPasswordDialog(): Html {
  return html`<dialog id="password-dialog" aria-labelledby="password-title">
    <h2 id="password-title">Make a new password?</h2>
    <p>
      The instance gets a new one, and the old one stops working. It is made and sealed on the provider’s
      side: only the keys of your account can open it, not this coordinator. Your SSH key goes on working.
    </p>
    <p class="problem" id="password-problem" role="alert"></p>
    <div class="actions">
      <button type="button" class="button" id="password-close" autofocus>Leave it</button>
      <button type="button" class="button primary" id="password-confirm">Make a new password</button>
    </div>
  </dialog>`;
}

function renderKeyDialog(): Html {
  return html`<dialog id="key-dialog" aria-labelledby="key-title">
    <h2 id="key-title">Change the SSH key</h2>
    <p>
      The new key takes the place of the one that this contract was made with, which stops working. Other keys
      that you added on the instance yourself stay.
    </p>
    <div class="field">
      <label for="new-key">New public key</label>
      <textarea
        id="new-key"
        rows="3"
        autocomplete="off"
        autocapitalize="none"
        spellcheck="false"
        placeholder="ssh-ed25519 AAAA… you@computer"
        aria-describedby="new-key-hint new-key-problem"
      ></textarea>
      <p class="quiet" id="new-key-hint">
        One line. To make one: <code>ssh-keygen -t ed25519</code>; to see it:
        <code>cat ~/.ssh/id_ed25519.pub</code>
      </p>
    </div>
    <p class="problem" id="new-key-problem" role="alert"></p>
    <div class="actions">
      <button type="button" class="button" id="key-close">Leave it</button>
      <button type="button" class="button primary" id="key-confirm">Change the key</button>
    </div>
  </dialog>`;
}

function renderSecretDialog(): Html {
  return html`<dialog id="secret-dialog" aria-labelledby="secret-title">
    <h2 id="secret-title">Password</h2>
    <form id="secret-words" novalidate autocomplete="off" hidden>
      <p>
        This browser does not hold the key of your account. Type or paste your 12 words: they stay in this
        browser and are not sent anywhere.
      </p>
      <div class="field">
        <label for="secret-phrase">Your 12 words</label>
        <textarea
          id="secret-phrase"
          rows="3"
          autocomplete="off"
          autocapitalize="none"
          spellcheck="false"
          aria-describedby="secret-problem"
        ></textarea>
      </div>
      <p class="actions"><button class="button primary" id="secret-open">Open</button></p>
    </form>
    <div id="secret-shown" hidden>
      <p>For the user <b id="secret-user"></b>. It is gone from this page when you close it.</p>
      <div class="terminal secret">
        <code id="secret" tabindex="0" role="textbox" aria-readonly="true" aria-label="The password"></code
        ><button
          type="button"
          class="button"
          id="secret-copy"
          data-copy="secret"
          aria-label="Copy: the password"
        >
          Copy
        </button>
      </div>
      <p class="quiet" id="secret-note"></p>
    </div>
    <p class="problem" id="secret-problem" role="alert"></p>
    <div class="actions">
      <button type="button" class="button" id="secret-close">Close</button>
    </div>
  </dialog>`;
}
