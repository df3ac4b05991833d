/**
 * The one error class and the one table of error codes of the coordinator, the agent and the wire.
 * A code is stable for ever; its row says what kind of failure it is (which alone decides HTTP status and
 * retry), and gives the default remedy. `docs/errors.md` is generated from this table.
 */

/** What kind of failure a code is. Status, exit code and retry follow from the kind and from nothing else. */
export type ErrorKind =
  | 'invalid' // the caller's input is wrong
  | 'unauthenticated' // nobody is speaking, or it cannot be proved who
  | 'denied' // somebody is speaking who may not do this
  | 'not_found'
  | 'gone'
  | 'conflict' // the state of things does not allow it now
  | 'too_large'
  | 'rate_limited'
  | 'exhausted' // quota, capacity or funds
  | 'unavailable' // try later
  | 'bug';

/** The HTTP status of each kind. */
export const STATUS_OF_KIND: Readonly<Record<ErrorKind, number>> = {
  invalid: 400,
  unauthenticated: 401,
  denied: 403,
  not_found: 404,
  gone: 410,
  conflict: 409,
  too_large: 413,
  rate_limited: 429,
  exhausted: 409,
  unavailable: 503,
  bug: 500,
};

interface ErrorRow {
  kind: ErrorKind;
  /** One line, the problem document's `title`. */
  title: string;
  /** What the reader can do about it. */
  remedy: string;
  /** Only where HTTP has a status of its own for this case; the kind decides otherwise. */
  status?: number;
}

const row = (kind: ErrorKind, title: string, remedy: string, status?: number): ErrorRow => ({
  kind,
  title,
  remedy,
  ...(status === undefined ? {} : { status }),
});

/** Every code, by area. */
export const ERRORS = {
  // Requests in general.
  REQUEST_INVALID: row(
    'invalid',
    'The request is not valid.',
    'Mend the fields listed under `errors` and send it again.',
  ),
  REQUEST_MALFORMED: row(
    'invalid',
    'The request body cannot be read.',
    'Send JSON in UTF-8 with Content-Type: application/json; the detail says what is wrong.',
  ),
  REQUEST_UNREADABLE: row(
    'invalid',
    'This is not an HTTP request that can be read.',
    'Send HTTP/1.1 as RFC 9112 describes it.',
  ),
  REQUEST_TIMED_OUT: row(
    'invalid',
    'The request took too long to come in.',
    'Send it again, whole and at once.',
    408,
  ),
  REQUEST_HEADERS_TOO_LARGE: row(
    'too_large',
    'The headers or the address of the request are too large.',
    'Send fewer or shorter headers.',
    431,
  ),
  REQUEST_TOO_LARGE: row(
    'too_large',
    'The request body is too large.',
    'Send less at once; the limit is in the detail.',
  ),
  REQUEST_TYPE_UNSUPPORTED: row(
    'invalid',
    'The request body has a type that is not taken here.',
    'Send JSON in UTF-8 with Content-Type: application/json and without Content-Encoding.',
    415,
  ),
  REQUEST_MISDIRECTED: row(
    'invalid',
    'The request is addressed to another host.',
    'Send it to the address under which this coordinator is known.',
    421,
  ),
  REQUEST_RATE_LIMITED: row(
    'rate_limited',
    'Too many requests.',
    'Wait for the seconds in Retry-After, then go on.',
  ),
  ROUTE_NOT_FOUND: row(
    'not_found',
    'There is nothing at this address.',
    'See GET /api/v1/openapi.json for what there is.',
  ),
  METHOD_NOT_ALLOWED: row(
    'not_found',
    'This address does not take this method.',
    'Use one of the methods in Allow.',
    405,
  ),
  INTERNAL_BUG: row(
    'bug',
    'Something went wrong on our side.',
    'Try again; if it stays, report the trace_id.',
  ),
  SERVICE_UNAVAILABLE: row(
    'unavailable',
    'The service cannot answer now.',
    'Try again after the seconds in Retry-After.',
  ),
  COORDINATOR_SAFE_MODE: row(
    'unavailable',
    'The coordinator acts on nothing now: its data may not be the newest.',
    'Running instances go on. Try again when the operator has compared the data with what the agents know.',
  ),

  // Who is calling.
  AUTH_REQUIRED: row(
    'unauthenticated',
    'This needs a signature or a session.',
    'Sign the request (RFC 9421, label dc) or log in.',
  ),
  SIGNATURE_MALFORMED: row(
    'unauthenticated',
    'The signature headers cannot be read.',
    'Send Signature-Input and Signature as PROTOCOL describes.',
  ),
  SIGNATURE_INVALID: row(
    'unauthenticated',
    'The signature does not match the request.',
    'Sign exactly what you send, with the key in keyid.',
  ),
  SIGNATURE_SKEW: row(
    'unauthenticated',
    'The signature was made too long ago, or in the future.',
    'Set your clock by server_time and sign again.',
  ),
  SIGNATURE_REPLAYED: row(
    'unauthenticated',
    'This nonce was used before.',
    'Use a new random nonce for every request.',
  ),
  DIGEST_MISMATCH: row(
    'unauthenticated',
    'Content-Digest does not match the body.',
    'Send the SHA-256 of exactly the bytes of the body.',
  ),
  KEY_UNKNOWN: row(
    'unauthenticated',
    'Nobody has registered this key.',
    'Create an account with it, or register the agent.',
  ),
  KEY_REVOKED: row(
    'unauthenticated',
    'This key was revoked.',
    'Use another key of the account, or set the agent up again.',
  ),
  KEY_WEAK: row(
    'invalid',
    'This is not a usable Ed25519 public key.',
    'Make a new key pair; keys of small order are refused.',
  ),
  SESSION_INVALID: row('unauthenticated', 'The session is not valid any more.', 'Log in again.'),
  CHALLENGE_INVALID: row(
    'unauthenticated',
    'The log-in challenge is unknown, used or too old.',
    'Ask for a new challenge and sign that.',
  ),
  PERMISSION_DENIED: row(
    'denied',
    'This key may not do this.',
    'Use a key that has the permission named in the detail.',
  ),
  ORIGIN_DENIED: row(
    'denied',
    'This request comes from another site.',
    'Use the page that this coordinator serves.',
  ),
  IDEMPOTENCY_REQUIRED: row(
    'invalid',
    'This call needs an Idempotency-Key.',
    'Send a new random Idempotency-Key, and the same one when you repeat the call.',
  ),
  IDEMPOTENCY_MISMATCH: row(
    'conflict',
    'This Idempotency-Key was used for another request.',
    'Use a new key for a new request.',
  ),

  // Accounts.
  ACCOUNT_NOT_FOUND: row('not_found', 'There is no such account.', 'Check the name or the key.'),
  ACCOUNT_EXISTS: row('conflict', 'This key already has an account.', 'Log in with it.'),
  USERNAME_TAKEN: row('conflict', 'This username is taken.', 'Choose another one.'),
  KEY_TAKEN: row('conflict', 'This key belongs to an account already.', 'Use another key.'),
  KEY_LIMIT: row('conflict', 'The account holds as many keys as it may.', 'Remove a key first.'),
  KEY_NOT_FOUND: row('not_found', 'The account has no such key.', 'See its keys in GET /api/v1/accounts/me.'),
  KEY_LAST: row('conflict', 'The last key of an account stays.', 'Add another key first.'),

  // Offerings and contracts.
  OFFERING_NOT_FOUND: row(
    'not_found',
    'There is no such offering.',
    'Choose one from GET /api/v1/offerings.',
  ),
  OFFERING_SOLD_OUT: row(
    'exhausted',
    'The offering is sold out.',
    'Choose another offering, or try again later.',
  ),
  OFFERING_UNSERVED: row(
    'exhausted',
    'No agent can serve this offering now.',
    'Choose another offering; you were not charged.',
  ),
  DURATION_OUT_OF_RANGE: row(
    'invalid',
    'The offering is not rented for this long.',
    'Choose a duration between min_hours and max_hours.',
  ),
  SSH_KEY_INVALID: row(
    'invalid',
    'The SSH public key cannot be used.',
    'Paste one line: ssh-ed25519, ecdsa-sha2-nistp256/384/521, or ssh-rsa of 2048 bits or more.',
  ),
  OPERATING_SYSTEM_UNKNOWN: row(
    'invalid',
    'The offering does not come with this operating system.',
    'Choose one of its operating_systems.',
  ),
  PAYMENT_METHOD_UNKNOWN: row(
    'invalid',
    'This payment method is not offered here.',
    'Choose one of those that the page shows.',
  ),
  PAYMENT_REFUSED: row(
    'conflict',
    'The payment provider does not take this payment.',
    'Choose another amount or another way to pay.',
  ),
  PAYMENT_AMOUNT_UNSUPPORTED: row(
    'invalid',
    'This amount cannot be paid in this way.',
    'Choose another duration or another way to pay; the detail says which amounts can be paid.',
  ),
  PAYMENT_NOT_FOUND: row('not_found', 'There is no such payment.', 'Check the address.'),
  PAYMENT_PROVIDER_UNAVAILABLE: row(
    'unavailable',
    'The payment provider gives no answer that can be used.',
    'Nothing is lost: it is asked again by itself. Look again in a minute.',
  ),
  PAYOUT_CONFLICT: row(
    'conflict',
    'These releases cannot be paid out as listed.',
    'List what providers are owed again, and pay what the list shows then.',
  ),
  PAYOUT_DESTINATION_MISSING: row(
    'conflict',
    'The provider has no destination for this route that counts already.',
    'The provider sets one: POST /api/v1/providers/{pubkey}/payout-destinations. It counts after the cooling time.',
  ),
  PAYOUT_ROUTE_UNAVAILABLE: row(
    'conflict',
    'This coordinator does not pay by this route.',
    'Choose another route, or configure it: [payouts] in dc-coordinator.toml.',
  ),
  PAYOUT_TRANSFER_UNKNOWN: row(
    'conflict',
    'A transfer was made to this provider that the books do not know.',
    'Record it: POST /api/v1/admin/payouts with the processor as route and the transfer as reference. Then the payout goes on.',
  ),
  PAYOUT_NOT_FOUND: row('not_found', 'There is no such payout.', 'Check the address.'),
  PAYOUT_STATE: row(
    'conflict',
    'The payout is in a state that does not allow this.',
    'Look at its state: GET /api/v1/admin/payouts.',
  ),
  RATE_SOURCE_UNUSABLE: row(
    'unavailable',
    'A source of rates gives no answer that can be used.',
    'Nothing needs to be done: the others count, and it is asked again.',
  ),
  TOKEN_RATE_STALE: row(
    'unavailable',
    'What this token costs is not known well enough to be paid in it now.',
    'Pay in another way, or try again in a few minutes.',
  ),
  USAGE_CAP_REQUIRED: row(
    'invalid',
    'This offering charges for use beyond the rent, up to an agreed limit.',
    'Send `usage_cap`: the most that a billing period may cost beyond the rent; 0 for nothing.',
  ),
  USAGE_EVENT_CONFLICT: row(
    'conflict',
    'There is another usage event of this id.',
    'Give each event an id of its own, and send the same event again only as it was.',
  ),
  USAGE_EVENT_TIME: row(
    'invalid',
    'The usage event is of the future, or too old.',
    'Set the clock right, and report what was used within 34 days.',
  ),
  USAGE_UNPAID: row(
    'exhausted',
    'What was used of earlier rentals is unpaid.',
    'Top up the wallet: what is due is taken from it within a minute.',
  ),
  SPENDING_LIMIT: row(
    'exhausted',
    'Your own spending limit of this month does not allow it.',
    'Raise the limit on the page Invoices (or PUT /api/v1/spending/limits), or wait for the next month.',
  ),
  INVOICE_NOT_FOUND: row('not_found', 'There is no such invoice, or it is not yours.', 'Check the number.'),
  REFUND_NOT_FOUND: row('not_found', 'There is no such refund request.', 'Check the address.'),
  REFUND_STATE: row(
    'conflict',
    'Nothing is to be decided about this refund.',
    'Look at what became of it: GET /api/v1/admin/refund-requests.',
  ),
  WALLET_TOO_LOW: row(
    'exhausted',
    'The wallet does not hold enough.',
    'Top it up on the page Wallet (or POST /api/v1/wallet/top-ups), or choose another way to pay.',
  ),
  WEBHOOK_SIGNATURE_INVALID: row(
    'unauthenticated',
    'The webhook is not signed by the payment provider.',
    'Check that the webhook secret that is configured is that of this endpoint, and the clocks.',
  ),
  CONTRACT_NOT_FOUND: row(
    'not_found',
    'There is no such contract, or it is not yours.',
    'Check the id and the key you sign with.',
  ),
  CONTRACT_STATE: row(
    'conflict',
    'The contract is in a state that does not allow this.',
    'Read the contract again; the detail says what it allows.',
  ),
  CREDENTIALS_NOT_FOUND: row(
    'not_found',
    'No password was made for this contract.',
    'Log in with your SSH key, or ask for a password: POST /api/v1/contracts/{id}/reset-password.',
  ),
  CREDENTIALS_EXPIRED: row(
    'gone',
    'The password is not kept here any more: it could be read for seven days.',
    'Ask for a new one: POST /api/v1/contracts/{id}/reset-password.',
  ),
  CREDENTIALS_PENDING: row(
    'conflict',
    'The password or the key is being changed already.',
    'Wait until that has ended; `credentials` of the contract tells.',
  ),
  CREDENTIALS_UNSUPPORTED: row(
    'conflict',
    'The provider cannot change the password or the key of this instance.',
    'Log in with what you have and change it there; nothing was changed.',
  ),
  CREDENTIALS_UNPROVED: row(
    'unavailable',
    'The instance does not let in who should be, or still lets in who should not.',
    'Ask for it again; until then the old and the new one may or may not work.',
  ),
  MONEY_RANGE: row('invalid', 'The amount is out of range.', 'Use a smaller amount.'),
  LEDGER_REFUSED: row('bug', 'The ledger refused a posting.', 'Nothing was booked; report the trace_id.'),

  // Agents.
  GRANT_INVALID: row(
    'invalid',
    'The grant or delegation does not verify.',
    'Make a new setup token with the provider key.',
  ),
  GRANT_USED: row('conflict', 'The setup token was used before.', 'Make a new setup token.'),
  GRANT_EXPIRED: row('conflict', 'The setup token or delegation has expired.', 'Make a new setup token.'),
  GRANT_NOT_FOUND: row(
    'not_found',
    'There is no grant for this setup token.',
    'Check the token, or make a new one with the provider key.',
  ),
  AGENT_KEY_TAKEN: row(
    'conflict',
    'This agent key is registered already.',
    'Set the agent up with a new key.',
  ),
  AGENT_NOT_FOUND: row(
    'not_found',
    'The provider has no such agent.',
    'See its agents in GET /api/v1/providers/{pubkey}.',
  ),
  POOL_NOT_FOUND: row('not_found', 'There is no such pool.', 'Check the pool of the setup token.'),
  PROVIDER_NOT_FOUND: row('not_found', 'There is no such provider.', 'Check the public key.'),
  PROVIDER_EXISTS: row('conflict', 'This account is a provider already.', 'Nothing to do.'),
  ORDER_NOT_FOUND: row('not_found', 'There is no such order for this agent.', 'Ask for work again.'),
  LEASE_STALE: row(
    'conflict',
    'The lease is not held any more.',
    'Stop working on it and ask for work again.',
  ),
  CAPACITY_INVALID: row(
    'invalid',
    'The statement of capacity does not hold.',
    'Sign it anew with the agent’s key, for this environment, with the contracts that the heartbeat names.',
  ),
  RECORD_INVALID: row(
    'invalid',
    'The record does not verify.',
    'Send the compact JWS exactly as it was signed.',
  ),
  RECORD_GAP: row(
    'conflict',
    'Records are missing before this one.',
    'Send the records from the sequence number in the detail.',
  ),
  RECORD_FORK: row(
    'conflict',
    'Another record has this sequence number.',
    'Stop: two agents use one key. Set one of them up again.',
  ),
  RECORD_FOREIGN: row(
    'denied',
    'The record is about a contract that is not this agent’s.',
    'Report only your own contracts.',
  ),
  RECORD_UNPROVED: row(
    'conflict',
    'The record does not prove what it says.',
    'It is kept as evidence and has no effect. Only an agent on the backend that the instance was made on can prove it gone.',
  ),
  RECORD_CONTRADICTS: row(
    'conflict',
    'The record does not fit the state of the contract.',
    'Nothing to do: it is kept as evidence and has no effect.',
  ),

  // Programs on the machine.
  CONFIG_INVALID: row('invalid', 'The configuration is not valid.', 'Mend the settings listed.'),
  CONFIG_MISSING: row(
    'invalid',
    'There is no configuration file.',
    'Run the set-up, or name the file with --config.',
  ),
  KEY_FILE_UNSAFE: row(
    'denied',
    'The key file can be read by others.',
    'Run: chmod 600 on the file named in the detail.',
  ),
  KEY_FILE_INVALID: row(
    'invalid',
    'The key file cannot be read.',
    'Restore it from a backup, or set up again.',
  ),
  KEY_ROTATION_PENDING: row(
    'conflict',
    'The coordinator’s key is being replaced already.',
    'Wait until that rotation is over; dc-coordinator admin key status says when.',
  ),
  DATABASE_NEWER: row(
    'conflict',
    'The database was written by a newer version of this program.',
    'Install that version or a newer one; nothing was changed.',
  ),
  DATABASE_LOCKED: row('conflict', 'Another process holds the database.', 'Stop the other process first.'),
  DATABASE_FULL: row(
    'unavailable',
    'Nothing can be stored now: the disk is full.',
    'Nothing was changed. The operator must free disk space; then try again.',
  ),
  DATABASE_UNUSABLE: row(
    'conflict',
    'The database file cannot be opened.',
    'Check the path, that its folder exists and belongs to this user, and that the file is a database.',
  ),
  PORT_IN_USE: row(
    'conflict',
    'The port is in use.',
    'Stop what listens there, or choose another with --port.',
  ),
  COORDINATOR_UNREACHABLE: row(
    'unavailable',
    'The coordinator does not answer.',
    'Check the network; the agent goes on trying.',
  ),
  RESPONSE_INVALID: row(
    'unavailable',
    'The other side answered something we cannot read.',
    'Check that both sides run compatible versions.',
  ),
  ORDER_REFUSED: row(
    'denied',
    'The order does not verify and was refused.',
    'Check the pinned coordinator key.',
  ),
  EVIDENCE_INVALID: row('conflict', 'The evidence does not verify.', 'See the record named in the detail.'),
  SETUP_TOKEN_INVALID: row(
    'invalid',
    'This is not a setup token.',
    'Paste the whole token, from dcs_ to its end.',
  ),
  SETUP_HOST_UNSUITABLE: row(
    'invalid',
    'The host cannot be set up as it is.',
    'Do what the detail says on the host, then run the set-up again.',
  ),
  SETUP_NAME_TAKEN: row(
    'conflict',
    'Something of that name is there already, and is not ours.',
    'It is left alone. Choose another name.',
  ),
  SETUP_IMAGE_UNVERIFIED: row(
    'denied',
    'The image is not proved to be the distribution’s.',
    'Do not use it; try again later, and ask the distribution if it stays.',
  ),
  SETUP_STEP_FAILED: row(
    'unavailable',
    'A step of the set-up failed.',
    'See the detail. Run the set-up again: it goes on where it stopped.',
  ),
  COMMAND_USAGE: row('invalid', 'The command cannot be understood.', 'Run it with --help.'),
  COMMAND_FAILED: row(
    'unavailable',
    'A program could not do its work.',
    'See the log for the cause, and run it by hand.',
  ),

  // Provisioners.
  PROVISIONER_UNAVAILABLE: row(
    'unavailable',
    'The backend does not answer.',
    'Run dc-agent doctor; the agent goes on trying.',
  ),
  PROVISIONER_SPEC_UNSUPPORTED: row(
    'invalid',
    'The backend cannot build what was ordered.',
    'Change the offering to what the backend can build.',
  ),
  PROVISIONER_FOREIGN: row(
    'denied',
    'The object at the backend does not carry this provider’s seal.',
    'It is left alone. Look at it by hand.',
  ),
  PROVISIONER_CERTIFICATE_CHANGED: row(
    'denied',
    'The backend shows another TLS certificate than the one that is pinned.',
    'If you renewed it, put its SHA-256 fingerprint into the configuration; otherwise somebody stands between.',
  ),
  PROVISIONER_EXHAUSTED: row(
    'exhausted',
    'The backend has no room left.',
    'Free some capacity, or offer less.',
  ),
  PROVISIONER_FAILED: row(
    'unavailable',
    'The backend could not do it.',
    'See the agent’s log for the attempt named in the detail.',
  ),
  INSTANCE_UNREACHABLE: row(
    'unavailable',
    'The instance did not answer on its SSH port in time.',
    'Try again; you were not charged.',
  ),
  JOURNAL_MISSING: row('not_found', 'There is no journal yet.', 'Start the agent once: dc-agent run.'),
  AGENT_STOPPED: row(
    'unavailable',
    'The agent does not run, or it is just ending.',
    'Start it, and try again.',
  ),
  ORPHAN_NOT_FOUND: row(
    'not_found',
    'There is no such orphan at the backend.',
    'See dc-agent orphans list; the id has to be given in full.',
  ),
  ORPHAN_TOO_YOUNG: row(
    'conflict',
    'The orphan has not been watched for long enough.',
    'Wait: it may be another agent’s, or its order may be on its way.',
  ),
  ORPHAN_HAS_ORDER: row(
    'conflict',
    'The instance is no orphan any more: its contract has an order.',
    'Leave it. dc-agent why tells what becomes of it.',
  ),
  INSTANCE_GONE: row(
    'gone',
    'The instance is not there any more.',
    'Look at the backend; the contract can be ended by its renter or the coordinator.',
  ),
  DATABASE_OLDER: row(
    'conflict',
    'The database was written by an older version of this program.',
    'Start the program once: it brings the database up to date.',
  ),
  JOURNAL_CORRUPT: row(
    'conflict',
    'The journal cannot be trusted.',
    'Nothing was destroyed. Restore the journal, or run dc-agent doctor.',
  ),
  SAGA_ABORTED: row(
    'unavailable',
    'The work was stopped before it was done.',
    'The agent takes it up again.',
  ),
} as const satisfies Record<string, ErrorRow>;

/** A stable error code. */
export type ErrorCode = keyof typeof ERRORS;

/** The HTTP status of a code. */
export function statusOf(code: ErrorCode): number {
  const entry: ErrorRow = ERRORS[code];
  return entry.status ?? STATUS_OF_KIND[entry.kind];
}

export interface AppErrorOptions {
  /** Replaces the table's remedy where this case has a better one. */
  remedy?: string;
  /** How long to wait before trying again, in milliseconds. */
  retryAfterMs?: number;
  /** One entry for each bad field: a JSON pointer and what is wrong with it. */
  fields?: readonly FieldProblem[];
  /** Members added to the problem document (`server_time`, …). Safe to show to the caller. */
  extra?: Readonly<Record<string, string | number>>;
  /** For the operator's log only; never sent. */
  cause?: unknown;
}

/** A bad field of a request. */
export interface FieldProblem {
  pointer: string;
  detail: string;
}

/** The only error class that crosses a module's border. `message` is for the user: no secret, no vendor text. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly remedy: string;
  readonly retryAfterMs: number | undefined;
  readonly fields: readonly FieldProblem[];
  readonly extra: Readonly<Record<string, string | number>>;

  constructor(code: ErrorCode, detail?: string, options: AppErrorOptions = {}) {
    super(detail ?? ERRORS[code].title, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy ?? ERRORS[code].remedy;
    this.retryAfterMs = options.retryAfterMs;
    this.fields = options.fields ?? [];
    this.extra = options.extra ?? {};
  }

  get kind(): ErrorKind {
    return ERRORS[this.code].kind;
  }

  /** True where the same call may succeed later without anybody changing it. */
  get isRetryable(): boolean {
    return this.kind === 'unavailable' || this.kind === 'rate_limited';
  }
}

/** Narrows to an AppError, and to one code when given. */
export function isAppError(error: unknown, code?: ErrorCode): error is AppError {
  return error instanceof AppError && (code === undefined || error.code === code);
}
