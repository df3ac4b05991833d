/** The part of the rent form where the SSH key comes from: pasted, or made here and saved as a file. */
import { sshKeyProblem } from '../identity/check-ssh-key.ts';
import { newOpensshKey, type OpensshKeyPair } from '../identity/openssh-key.ts';
import { browserRandom } from './browser-random.ts';
import { announce, byId, chosenValue, setProblem, whileBusy } from './dom.ts';
import { listMadeKeys, rememberMadeKey } from './made-keys.ts';

const FILE = 'dc_ed25519';
const FOLDER = '~/.ssh';

/** Starts the section, and returns the check that the form makes before it sends. */
export function startSshKeySection(form: HTMLFormElement): { isUsable: () => boolean } {
  const field = byId('ssh_public_key', HTMLTextAreaElement);
  let made: { pair: OpensshKeyPair; name: string } | null = null;

  const check = (): boolean => {
    const problem = sshKeyProblem(field.value);
    if (problem?.isPrivate === true) field.value = '';
    setProblem(field.id, problem?.text ?? '');
    return problem === null;
  };
  // An empty field is no mistake before the order is sent; it is also what a removed private key leaves, whose
  // warning stays.
  const checkUnlessEmpty = (): void => {
    if (field.value.trim() !== '') check();
  };
  field.addEventListener('input', () => {
    // While somebody types, only what is dangerous is said at once; the rest when the field is left.
    if (sshKeyProblem(field.value)?.isPrivate === true || field.ariaInvalid === 'true') checkUnlessEmpty();
  });
  field.addEventListener('change', checkUnlessEmpty);

  const showSource = (): void => {
    const isMade = chosenValue(form, 'key_source') === 'make';
    byId('key-make', HTMLDivElement).hidden = !isMade;
    byId('key-hint', HTMLElement).hidden = isMade;
    byId('key-reuse-button', HTMLButtonElement).hidden = listMadeKeys().length === 0;
    field.readOnly = isMade;
    setProblem(field.id, '');
  };
  for (const radio of form.querySelectorAll('input[name=key_source]'))
    radio.addEventListener('change', showSource);
  showSource(); // The browser may have kept the choice over a reload.

  const makeButton = byId('key-make-button', HTMLButtonElement);
  makeButton.addEventListener('click', () => {
    void whileBusy(makeButton, 'Making it…', async () => {
      // Another key gets another file: it must not take the place of one that still opens an instance.
      const name = listMadeKeys().length === 0 ? FILE : `${FILE}_${Date.now().toString(36)}`;
      made = { pair: await newOpensshKey(browserRandom, name), name };
      rememberMadeKey({ publicLine: made.pair.publicLine, file: `${FOLDER}/${name}` });
      field.value = made.pair.publicLine;
      setProblem(field.id, '');
      saveFile(name, made.pair.privateFile);
      showMade(`The key pair is made. Your browser saves the private key as the file ${name}.`, name);
    });
  });
  byId('key-save-again', HTMLButtonElement).addEventListener('click', () => {
    if (made !== null) saveFile(made.name, made.pair.privateFile);
  });
  byId('key-reuse-button', HTMLButtonElement).addEventListener('click', () => {
    const [latest] = listMadeKeys();
    if (latest === undefined) return;
    made = null;
    field.value = latest.publicLine;
    setProblem(field.id, '');
    showMade(`This uses the key whose file you put at ${latest.file}.`, null);
  });
  return { isUsable: check };
}

/** Says what was done. `newFile` is the file that has yet to be put into its place. */
function showMade(text: string, newFile: string | null): void {
  const box = byId('key-made', HTMLDivElement);
  byId('key-made-text', HTMLElement).textContent = text;
  for (const element of box.querySelectorAll<HTMLElement>('[data-new-key]'))
    element.hidden = newFile === null;
  if (newFile !== null) byId('key-install', HTMLElement).textContent = installCommand(newFile);
  box.hidden = false;
  box.focus();
  announce(text);
}

function installCommand(name: string): string {
  const file = `${FOLDER}/${name}`;
  return `mkdir -p ${FOLDER} && mv ~/Downloads/${name} ${file} && chmod 600 ${file}`;
}

function saveFile(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: 'application/octet-stream' }));
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  // The browser has its own reference by then.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
