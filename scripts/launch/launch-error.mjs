// @ts-check
/** What the launcher says: a failure with its remedy, and progress. */

/** A failure that the user can do something about: printed without a stack. */
export class LaunchError extends Error {
  /**
   * @param {string} message What happened.
   * @param {string} remedy What to do.
   */
  constructor(message, remedy) {
    super(message);
    this.remedy = remedy;
  }
}

/**
 * Progress goes to stderr: stdout belongs to the target (`npm run -s rent -- --json | jq`).
 * @param {string} text
 */
export function say(text) {
  console.error(text);
}
