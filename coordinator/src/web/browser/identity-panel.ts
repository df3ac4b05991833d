/** Makes the identity panel of pages/identity-panel.ts work: a new account, an old one, or the key kept here. */
import type { WireAccount } from '@dc/shared/wire/account';
import { accountText } from '../format.ts';
import { accountKeyOf, type AccountKey } from '../identity/account-key.ts';
import { problemText, ApiError } from './api.ts';
import { browserRandom } from './browser-random.ts';
import { announce, byId, chosenValue, setProblem, whileBusy } from './dom.ts';
import { loadPhrases, WordFields } from './identity-words.ts';
import { findKey, forgetKey, keepKey, type KnownKey } from './key-store.ts';
import { createAccount, openSession } from './sign-in.ts';

type SignedIn = (account: WireAccount) => void;

/** Starts the panel. `onSignedIn` runs once there is a session. */
export async function startIdentityPanel(onSignedIn: SignedIn): Promise<void> {
  const panel = new IdentityPanel(onSignedIn);
  const known = await findKey();
  if (known === null) await panel.start();
  else offerKnownKey(known, panel, onSignedIn);
}

/** The key that this browser holds: one press is enough. */
function offerKnownKey(known: KnownKey, panel: IdentityPanel, onSignedIn: SignedIn): void {
  const box = byId('returning', HTMLDivElement);
  const form = byId('identity', HTMLFormElement);
  const continueButton = byId('returning-continue', HTMLButtonElement);
  byId('returning-name', HTMLElement).textContent = known.name;
  box.hidden = false;
  form.hidden = true;
  const forget = async (): Promise<void> => {
    await forgetKey();
    box.hidden = true;
    form.hidden = false;
    await panel.start();
    form.querySelector<HTMLInputElement>('input[name=mode]:checked')?.focus();
  };
  byId('returning-forget', HTMLButtonElement).addEventListener('click', () => void forget());
  continueButton.addEventListener('click', () => {
    void whileBusy(continueButton, 'Signing in…', async () => {
      try {
        const account = await openSession(known.key);
        if (account !== null) onSignedIn(account);
        else setProblem('returning', 'No account has this key any more. Use other words.');
      } catch (error) {
        setProblem('returning', problemText(error));
      }
    });
  });
}

const USERNAME = /^[a-z0-9][a-z0-9._-]{2,31}$/;

class IdentityPanel {
  readonly #form = byId('identity', HTMLFormElement);
  readonly #words = new WordFields(this.#form);
  readonly #onSignedIn: SignedIn;
  /** What stands in the fields of the mode that is not shown. */
  #otherWords: string[] = [];
  /** The words for which an import was told that they have no account yet: the next press makes one. */
  #confirmedNew = '';

  constructor(onSignedIn: SignedIn) {
    this.#onSignedIn = onSignedIn;
    for (const radio of this.#form.querySelectorAll('input[name=mode]')) {
      radio.addEventListener('change', () => this.#switchMode());
    }
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      const button = byId('identity-continue', HTMLButtonElement);
      void whileBusy(button, 'Signing in…', () => this.#submit());
    });
  }

  /** Makes the words of a new account. */
  async start(): Promise<void> {
    const { newPhrase } = await loadPhrases();
    const words = newPhrase(browserRandom);
    if (this.#mode === 'create') this.#words.show(words);
    else this.#otherWords = words; // The browser kept the other choice over a reload.
    this.#showMode();
  }

  get #mode(): string {
    return chosenValue(this.#form, 'mode');
  }

  #switchMode(): void {
    const words = this.#otherWords;
    this.#otherWords = this.#words.words;
    if (this.#mode === 'create') this.#words.show(words);
    else this.#words.open(words);
    this.#showMode();
  }

  #showMode(): void {
    if (this.#mode === 'import') this.#words.open(this.#words.words);
    for (const element of this.#form.querySelectorAll<HTMLElement>('[data-mode]')) {
      element.hidden = element.dataset['mode'] !== this.#mode;
    }
    setProblem('identity', '');
  }

  async #submit(): Promise<void> {
    setProblem('identity', '');
    const problem = await this.#findProblem();
    if (problem !== null) {
      setProblem('identity', problem.text);
      problem.focus();
      return;
    }
    try {
      const key = await accountKeyOf(this.#words.words);
      const account = await this.#enter(key);
      if (account === null) return;
      await keepKey(key, accountText(account));
      announce(`Signed in as ${accountText(account)}.`);
      this.#onSignedIn(account);
    } catch (error) {
      setProblem('identity', problemText(error));
      if (error instanceof ApiError && error.code === 'USERNAME_TAKEN') this.#username.focus();
    }
  }

  async #findProblem(): Promise<{ text: string; focus: () => void } | null> {
    if (!(await this.#words.isUsable())) return { text: '', focus: () => this.#words.focusProblem() };
    const saved = byId('saved', HTMLInputElement);
    if (!saved.checked) {
      return { text: 'Save your 12 words first, then tick that they are saved.', focus: () => saved.focus() };
    }
    const name = this.#username.value.trim();
    if (name === '' || USERNAME.test(name)) return null;
    const text = 'The name needs 3 to 32 small letters, digits, dots, dashes or underscores.';
    return { text, focus: () => this.#username.focus() };
  }

  get #username(): HTMLInputElement {
    return byId('username', HTMLInputElement);
  }

  /** A session for `key`. Null where an import found no account and asks first whether to make one. */
  async #enter(key: AccountKey): Promise<WireAccount | null> {
    const phrase = this.#words.words.join(' ');
    const isImport = this.#mode === 'import' && this.#confirmedNew !== phrase;
    if (isImport) {
      const account = await openSession(key);
      if (account !== null) return account;
      this.#confirmedNew = phrase;
      setProblem('identity', 'No account uses these words yet. Press Continue again to make one with them.');
      return null;
    }
    await createAccount(key, this.#username.value.trim());
    return openSession(key);
  }
}
