/** Small things that every module of the page does with the document. */

/** The element with this id. Throws where the server's page and the module do not fit together. */
export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`#${id} is not there, or something else`);
  return element;
}

/** Shows what only works with scripts (`data-script`), inside `root`. */
export function revealScripted(root: ParentNode): void {
  for (const element of root.querySelectorAll<HTMLElement>('[data-script]')) element.hidden = false;
}

/** Puts `text` into the element with this id; empty for nothing. Where it is the problem of a field, marks the field. */
export function setProblem(fieldId: string, text: string): void {
  byId(`${fieldId}-problem`, HTMLElement).textContent = text;
  const field = document.getElementById(fieldId);
  if (field === null) return;
  if (text === '') field.removeAttribute('aria-invalid');
  else field.setAttribute('aria-invalid', 'true');
}

/** Says something to those who listen instead of looking. */
export function announce(text: string): void {
  byId('announcer', HTMLElement).textContent = text;
}

/** The value of the chosen radio button of this name; empty where none is. */
export function chosenValue(form: HTMLFormElement, name: string): string {
  const value = new FormData(form).get(name);
  return typeof value === 'string' ? value : '';
}

/** Disables `button` and shows `text` on it until `work` has ended. */
export async function whileBusy(
  button: HTMLButtonElement,
  text: string,
  work: () => Promise<void>,
): Promise<void> {
  const label = button.textContent;
  button.disabled = true;
  button.textContent = text;
  try {
    await work();
  } finally {
    button.disabled = false;
    button.textContent = label;
  }
}
