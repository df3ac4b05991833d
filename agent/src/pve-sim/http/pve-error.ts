/** An answer of the simulated API that is not a success. Proxmox VE puts its words into the HTTP reason phrase. */

/** What a call that is refused or fails is answered with. */
export class PveError extends Error {
  readonly status: number;
  /** For "Parameter verification failed.": what is wrong with each parameter. */
  readonly errors: Readonly<Record<string, string>> | undefined;

  constructor(status: number, message: string, errors?: Readonly<Record<string, string>>) {
    super(message);
    this.name = 'PveError';
    this.status = status;
    this.errors = errors;
  }

  /** What Perl's `die` in a handler comes to. */
  static failed(message: string): PveError {
    return new PveError(500, message);
  }

  /** One or more parameters that cannot be taken. */
  static parameters(errors: Readonly<Record<string, string>>): PveError {
    return new PveError(400, 'Parameter verification failed.', errors);
  }

  /** A privilege that the caller does not have. */
  static denied(path: string, privileges: readonly string[]): PveError {
    return new PveError(403, `Permission check failed (${path}, ${privileges.join('|')})`);
  }
}
