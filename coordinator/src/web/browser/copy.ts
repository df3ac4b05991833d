/** Buttons that copy the text of another element (`data-copy` names it). */
import { announce } from './dom.ts';

const SHOWN_MS = 2000;

/** Makes all of them work, also those that come later. */
export function startCopying(): void {
  document.addEventListener('click', (event) => {
    const button = event.target instanceof Element ? event.target.closest('[data-copy]') : null;
    if (button instanceof HTMLButtonElement) void copyFor(button);
  });
}

async function copyFor(button: HTMLButtonElement): Promise<void> {
  const source = document.getElementById(button.dataset['copy'] ?? '');
  if (source === null) return;
  const isCopied = await copyText(source.textContent);
  if (!isCopied) getSelection()?.selectAllChildren(source);
  const text = isCopied ? 'Copied' : 'Press Ctrl+C';
  announce(text);
  button.textContent = text;
  setTimeout(() => {
    button.textContent = 'Copy';
  }, SHOWN_MS);
}

/** Puts `text` on the clipboard; false where the browser does not let the page. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // Denied, or no clipboard outside of HTTPS: the caller shows another way.
  }
}
