/**
 * What comes in to a command. It is waited for only when somebody reads it, since many clients never end it; what one
 * command of a script has read, the next does not see again.
 */
export class ShellInput {
  readonly #whole: () => Promise<string>;
  #rest: string | undefined;

  /** `whole` resolves when the input has ended. */
  constructor(whole: () => Promise<string>) {
    this.#whole = whole;
  }

  /** Input that is known already. */
  static of(text: string): ShellInput {
    return new ShellInput(() => Promise.resolve(text));
  }

  /** Everything that nobody has read yet. */
  async all(): Promise<string> {
    const text = (this.#rest ??= await this.#whole());
    this.#rest = '';
    return text;
  }

  /** The next line without its end; null where there is none. */
  async line(): Promise<string | null> {
    const text = await this.all();
    if (text === '') return null;
    const at = text.indexOf('\n');
    this.#rest = at < 0 ? '' : text.slice(at + 1);
    return at < 0 ? text : text.slice(0, at);
  }
}
