/** The twelve fields of the phrase: filled in for a new one, typed or pasted for one to import. */
import { announce, byId, setProblem } from './dom.ts';
import { copyText } from './copy.ts';

/** Loads the word list: only where words are made or checked. */
export const loadPhrases = () => import('../identity/phrase.ts');

/** The fields as a whole. */
export class WordFields {
  readonly #fields: HTMLInputElement[];

  constructor(form: HTMLFormElement) {
    this.#fields = [...form.querySelectorAll<HTMLInputElement>('.word')];
    this.#fields.forEach((field, index) => {
      field.addEventListener('paste', (event) => {
        const text = event.clipboardData?.getData('text') ?? '';
        if (field.readOnly || !/\s\S/.test(text.trim())) return;
        event.preventDefault();
        void this.fill(text, index);
      });
      field.addEventListener('keydown', (event) => {
        if (field.readOnly || event.key !== ' ') return;
        event.preventDefault();
        this.#fields[index + 1]?.focus();
      });
      field.addEventListener('blur', () => void this.#check(index));
    });
    byId('words-copy', HTMLButtonElement).addEventListener('click', () => void this.#copy());
    byId('words-paste', HTMLButtonElement).addEventListener('click', () => void this.#paste());
  }

  /** The words as they stand, each trimmed. */
  get words(): string[] {
    return this.#fields.map((field) => field.value.trim().toLowerCase());
  }

  /** Shows a new phrase that cannot be edited. */
  show(words: readonly string[]): void {
    this.#fields.forEach((field, index) => {
      field.value = words[index] ?? '';
      field.readOnly = true;
    });
    this.#mark(null, '');
  }

  /** Empties the fields for typing. */
  open(words: readonly string[]): void {
    this.show(words);
    for (const field of this.#fields) field.readOnly = false;
  }

  /** Distributes pasted words over the fields from `start` on. */
  async fill(text: string, start: number): Promise<void> {
    const { splitWords } = await loadPhrases();
    const words = splitWords(text);
    const from = words.length >= this.#fields.length ? 0 : start;
    words.slice(0, this.#fields.length - from).forEach((word, index) => {
      const field = this.#fields[from + index];
      if (field !== undefined) field.value = word;
    });
    if (words.length > this.#fields.length) {
      this.#mark(null, `A phrase has 12 words; these were ${words.length}.`);
      return;
    }
    await this.isUsable();
    this.#fields[Math.min(from + words.length, this.#fields.length) - 1]?.focus();
  }

  /** Whether the words are a phrase; says what is wrong where they are not. */
  async isUsable(): Promise<boolean> {
    const { phraseProblem } = await loadPhrases();
    const problem = phraseProblem(this.words);
    this.#mark(problem?.word ?? null, problem?.text ?? '');
    return problem === null;
  }

  /** Puts the cursor where the problem is. */
  focusProblem(): void {
    (this.#fields.find((field) => field.ariaInvalid === 'true') ?? this.#fields[0])?.focus();
  }

  async #check(index: number): Promise<void> {
    const field = this.#fields[index];
    if (field === undefined || field.readOnly) return;
    if (this.words.every((word) => word !== '')) {
      await this.isUsable();
      return;
    }
    const { wordProblem } = await loadPhrases();
    // The first word that is wrong, whichever was left last: a problem stays until it is mended.
    const problem = this.words
      .map((word, position) => wordProblem(word, position))
      .find((found) => found !== null);
    this.#mark(problem?.word ?? null, problem?.text ?? '');
  }

  #mark(position: number | null, text: string): void {
    setProblem('words', text);
    this.#fields.forEach((field, index) => {
      if (index === position) {
        field.ariaInvalid = 'true';
        field.setAttribute('aria-describedby', 'words-problem');
      } else {
        field.ariaInvalid = null;
        field.removeAttribute('aria-describedby');
      }
    });
  }

  async #copy(): Promise<void> {
    const isCopied = await copyText(this.words.join(' '));
    announce(isCopied ? 'The words are copied.' : 'Your browser does not allow copying: write them down.');
    byId('words-copy', HTMLButtonElement).textContent = isCopied ? 'Copied' : 'Write them down';
  }

  async #paste(): Promise<void> {
    try {
      await this.fill(await navigator.clipboard.readText(), 0);
    } catch {
      // The browser asks its user, who may say no; the keyboard always works.
      setProblem(
        'words',
        'The browser does not let the page read the clipboard: paste into the first field instead.',
      );
      this.#fields[0]?.focus();
    }
  }
}
