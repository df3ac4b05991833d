/**
 * Password and SSH key on the contract's page. The password is opened here, by the account's key, which never leaves
 * the browser; it is in the page only while its dialog is open.
 */
import type { WireContract, WireCredentials } from '@dc/shared/wire/contract';
import { sshKeyProblem } from '../identity/check-ssh-key.ts';
import { accountKeyOf, type AccountKey } from '../identity/account-key.ts';
import { callApi, problemText } from './api.ts';
import { announce, byId, setProblem, whileBusy } from './dom.ts';
import { findKey, keepKey } from './key-store.ts';
import { changeContractKey } from './made-keys.ts';

type OnChange = (contract: WireContract) => void;

/**
 * Starts the buttons and their dialogs. `onChange` gets the contract as each answer says it is. What is returned wants
 * to see every newer state of the contract before the page does.
 */
export function startCredentials(contractId: string, onChange: OnChange): OnChange {
  let askedKey: string | null = null;
  startPasswordDialog(contractId, onChange);
  startKeyDialog(contractId, (contract, key) => {
    askedKey = key;
    onChange(contract);
  });
  startSecretDialog(contractId);
  return ({ credentials, last_error }) => {
    if (askedKey === null || credentials?.pending != null) return;
    if (last_error === null) changeContractKey(contractId, askedKey);
    askedKey = null;
  };
}

/** Calls `open` when the button with this id is pressed, also one that is rendered later. */
function onPress(id: string, open: () => void): void {
  document.addEventListener('click', (event) => {
    if (event.target instanceof Element && event.target.closest(`#${id}`) !== null) open();
  });
}

/** Asks for a change. A new Idempotency-Key for each time that the dialog was opened. */
async function order(path: string, body: object, idempotencyKey: string): Promise<WireContract> {
  const headers = { 'idempotency-key': idempotencyKey };
  return callApi<WireContract>('POST', path, { body: JSON.stringify(body), headers });
}

function startPasswordDialog(contractId: string, onChange: OnChange): void {
  const dialog = byId('password-dialog', HTMLDialogElement);
  const confirm = byId('password-confirm', HTMLButtonElement);
  let idempotencyKey = '';
  onPress('password-new', () => {
    idempotencyKey = crypto.randomUUID();
    setProblem('password', '');
    dialog.showModal();
  });
  byId('password-close', HTMLButtonElement).addEventListener('click', () => dialog.close());
  confirm.addEventListener('click', () => {
    void whileBusy(confirm, 'Asking…', async () => {
      try {
        const contract = await order(`/contracts/${contractId}/reset-password`, {}, idempotencyKey);
        dialog.close();
        onChange(contract);
        announce('A new password is being made.');
      } catch (error) {
        setProblem('password', problemText(error));
      }
    });
  });
}

function startKeyDialog(contractId: string, onAsked: (contract: WireContract, key: string) => void): void {
  const dialog = byId('key-dialog', HTMLDialogElement);
  const confirm = byId('key-confirm', HTMLButtonElement);
  const field = byId('new-key', HTMLTextAreaElement);
  let idempotencyKey = '';
  onPress('key-change', () => {
    idempotencyKey = crypto.randomUUID();
    setProblem(field.id, '');
    dialog.showModal();
    field.focus();
  });
  field.addEventListener('input', () => {
    if (sshKeyProblem(field.value)?.isPrivate === true) check();
  });
  byId('key-close', HTMLButtonElement).addEventListener('click', () => dialog.close());
  confirm.addEventListener('click', () => {
    if (!check()) return;
    void whileBusy(confirm, 'Asking…', async () => {
      try {
        const key = field.value;
        const path = `/contracts/${contractId}/rotate-ssh-key`;
        onAsked(await order(path, { ssh_public_key: key }, idempotencyKey), key);
        field.value = '';
        dialog.close();
        announce('The SSH key is being changed.');
      } catch (error) {
        setProblem(field.id, problemText(error));
        idempotencyKey = crypto.randomUUID(); // Another key is another request.
      }
    });
  });

  function check(): boolean {
    const problem = sshKeyProblem(field.value);
    if (problem?.isPrivate === true) field.value = '';
    setProblem(field.id, problem?.text ?? '');
    if (problem !== null) field.focus();
    return problem === null;
  }
}

function startSecretDialog(contractId: string): void {
  const dialog = byId('secret-dialog', HTMLDialogElement);
  const words = byId('secret-words', HTMLFormElement);
  const phrase = byId('secret-phrase', HTMLTextAreaElement);
  const shown = byId('secret-shown', HTMLElement);
  const secret = byId('secret', HTMLElement);
  let credentials: WireCredentials | null = null;

  onPress('password-show', () => {
    setProblem('secret', '');
    dialog.showModal();
    void open(async () => (await findKey())?.key ?? null);
  });
  words.addEventListener('submit', (event) => {
    event.preventDefault();
    void whileBusy(byId('secret-open', HTMLButtonElement), 'Opening…', () =>
      open(() => keyOfPhrase(phrase.value)),
    );
  });
  byId('secret-close', HTMLButtonElement).addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => {
    secret.textContent = '';
    phrase.value = '';
    shown.hidden = words.hidden = true;
    credentials = null;
  });

  /** Shows the password where `findAccountKey` gives a key that opens a box; asks for the words where there is none. */
  async function open(findAccountKey: () => Promise<AccountKey | null>): Promise<void> {
    setProblem('secret', '');
    try {
      credentials ??= await callApi<WireCredentials>('GET', `/contracts/${contractId}/credentials`);
      const key = await findAccountKey();
      const box = credentials.boxes.find(({ public_key }) => public_key === key?.publicKey);
      if (key?.box != null && box !== undefined) {
        const { openBox } = await import('@dc/shared/crypto/sealed-box');
        show(credentials, await openBox(box, key.box, contractId));
      } else askForWords(key, box !== undefined);
    } catch (error) {
      setProblem('secret', problemText(error));
    }
  }

  function askForWords(key: AccountKey | null, hasBox: boolean): void {
    const isAsked = !words.hidden;
    words.hidden = false;
    phrase.focus();
    if (isAsked && key !== null)
      setProblem(
        'secret',
        hasBox
          ? 'This browser cannot open it: it does not know X25519. Use a newer one.'
          : 'It was not sealed to the key of these words. Use the other words of this account, or make a new password.',
      );
  }

  function show({ user, proof }: WireCredentials, password: string): void {
    words.hidden = true;
    shown.hidden = false;
    byId('secret-user', HTMLElement).textContent = user;
    byId('secret-note', HTMLElement).textContent =
      proof === 'login'
        ? 'The provider’s agent logged in with it, and a wrong one was refused.'
        : 'It is set, but the SSH server of the instance takes no passwords: it works at a console.';
    secret.textContent = password;
    secret.focus();
  }
}

/** The account's key by its words. Throws an Error with the problem where they are none. */
async function keyOfPhrase(text: string): Promise<AccountKey> {
  const { phraseProblem, splitWords } = await import('../identity/phrase.ts');
  const words = splitWords(text);
  const problem = phraseProblem(words);
  if (problem !== null) throw new Error(problem.text);
  const key = await accountKeyOf(words);
  const known = await findKey();
  // A key that was kept before keys could open boxes is kept anew.
  if (known?.key.publicKey === key.publicKey) await keepKey(key, known.name);
  return key;
}
