/**
 * What happens to a request of a declared route, in this order: read and verify its credential, count it, validate
 * it, then identify the caller, spend the nonce and run the handler. What costs little and needs no database comes
 * first; nothing of a request is believed before its signature holds. A request that is not valid is answered as if
 * the caller had been identified first: who may not call learns that and nothing else.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AppError, isAppError } from '@dc/shared/errors';
import { parsePublicKey } from '@dc/shared/crypto/public-key';
import { validatorOf } from '@dc/shared/wire/validator-of';
import type { Context } from '../context.ts';
import type { Reader, Transaction } from '../database/database.ts';
import { hasCredential, readCredential, type Credential } from './credential.ts';
import {
  findFirstAnswer,
  hashRequest,
  keepAnswer,
  readIdempotencyKey,
  type IdempotencyScope,
  type SentAnswer,
} from './idempotency.ts';
import type { OwnAuthorities } from './own-authorities.ts';
import { assertPermitted, permissionsOf } from './permissions.ts';
import { actorName, type Permission, type Principal } from './principal.ts';
import { findPrincipal, spendNonce, type ExpectedKey } from './principal-store.ts';
import type { RateLimits } from './rate-limits.ts';
import type {
  PrepareInput,
  ReadRoute,
  Route,
  RouteAnswer,
  RouteInput,
  StreamRoute,
  WriteRoute,
} from './route.ts';
import { findProblems, InputValidator, type RawInput } from './validate-input.ts';

/** What all routes of a server share. */
export interface RouteServices {
  context: Context;
  own: OwnAuthorities;
  limits: RateLimits;
  /** In tests: an answer that its schema does not allow, or an undeclared status, is an INTERNAL_BUG. */
  checksAnswers: boolean;
}

/** Everything of a request but who sent it. */
type Unidentified = PrepareInput;

interface HandlerAnswer extends SentAnswer {
  headers?: Record<string, string>;
}

const NO_BODY = Buffer.alloc(0);
/** A few records. Checking more than that costs more than asking first who sent it. */
const PREPARED_UNSEEN_BYTES_MAX = 8192;

/** Runs one route's requests. */
export class RouteRunner {
  readonly route: Route;
  readonly permissions: readonly Permission[];
  readonly #services: RouteServices;
  readonly #input: InputValidator;
  readonly #expected: ExpectedKey;
  readonly #isAgentRoute: boolean;
  readonly #isPublic: boolean;
  /** True where an unknown key may call: it is for the handler to say what it means. */
  readonly #takesAnyKey: boolean;

  constructor(route: Route, services: RouteServices) {
    this.route = route;
    this.permissions = permissionsOf(route);
    this.#services = services;
    this.#input = new InputValidator(route);
    this.#isAgentRoute = this.permissions.some((permission) => permission.startsWith('agent:'));
    this.#expected = this.#isAgentRoute ? 'agent' : 'account';
    this.#isPublic = this.permissions.includes('public');
    this.#takesAnyKey = this.#isPublic || this.permissions.includes('key');
  }

  /** Answers a request. What it throws is for the server's error handler. */
  async run(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { context, own } = this.#services;
    const now = context.clock.now();
    const { method = '', url: target = '', headers } = request.raw;
    const authority = (headers.host ?? '').toLowerCase();
    const body = request.rawBody ?? NO_BODY;
    const credential = readCredential({ method, authority, target, headers, body }, own, now);
    this.#count(credential);
    const checked = await this.#readFor(credential, request, now);
    const input: Unidentified = {
      params: checked.params,
      query: checked.query,
      body: checked.body,
      signer: credential.kind === 'signature' ? credential.keyid : null,
      now,
      traceId: request.id,
      authority,
      raw: { request, reply },
    };
    if (this.route.kind === 'write') return this.#write(this.route, input, credential);
    const principal = await this.#identifyForReading(credential, now);
    request.actor = actorName(principal);
    assertPermitted(principal, this.permissions);
    if (this.route.kind === 'stream') return this.#stream(this.route, { ...input, principal });
    return this.#read(this.route, { ...input, principal });
  }

  /** Refuses who shows nothing where something is needed, before the body is read. Throws AUTH_REQUIRED. */
  assertMayBeAnonymous(request: FastifyRequest): void {
    if (!this.#isPublic && !hasCredential(request.raw.headers)) throw new AppError('AUTH_REQUIRED');
  }

  /** The validated input, or what is wrong: with the caller first, then with the request. */
  async #readFor(credential: Credential, request: FastifyRequest, now: number): Promise<RawInput> {
    try {
      if (request.bodyProblem !== undefined) throw request.bodyProblem;
      return this.#input.check(request);
    } catch (error) {
      await this.#assertMayCall(credential, request, now);
      throw error;
    }
  }

  /**
   * Throws what a caller who may not call at all is told. Asks the read connection, and spends no nonce: only for
   * requests that fail, and for those that cost much before their transaction.
   */
  async #assertMayCall(credential: Credential, request: FastifyRequest, now: number): Promise<void> {
    const principal = await this.#identify(this.#services.context.db.read, credential, now);
    request.actor = actorName(principal);
    assertPermitted(principal, this.permissions);
  }

  #count(credential: Credential): void {
    if (this.route.isExemptFromRateLimits === true) return;
    const { limits } = this.#services;
    if (credential.kind === 'signature') limits.countCaller(credential.keyid, this.#isAgentRoute);
    else if (credential.kind === 'session') limits.countCaller(credential.tokenHash, false);
  }

  async #read(route: ReadRoute, input: RouteInput): Promise<FastifyReply> {
    return send(input.raw.reply, this.#finish(await route.handle(input)));
  }

  async #stream(route: StreamRoute, input: RouteInput): Promise<FastifyReply> {
    const { reply, request } = input.raw;
    try {
      await route.handle(input);
    } catch (error) {
      // Once it has begun there is no way to say what went wrong, only that it did.
      if (!reply.raw.headersSent) throw error;
      this.#services.context.log.error({ err: error, traceId: request.id }, 'a stream failed');
      reply.raw.destroy();
    }
    return reply;
  }

  async #write(route: WriteRoute, input: Unidentified, credential: Credential): Promise<FastifyReply> {
    const { context } = this.#services;
    const { scope, prepared } = await this.#prepareFor(credential, route, input);
    let isAdmitted = false;
    let answer: HandlerAnswer | AppError;
    try {
      answer = await context.db.write(async (trx) => {
        const principal = await this.#admit(trx, credential, input.now);
        isAdmitted = true;
        input.raw.request.actor = actorName(principal);
        assertPermitted(principal, this.permissions);
        return this.#handleOnce(route, { ...input, principal }, { trx, prepared, scope });
      });
    } catch (error) {
      if (isAdmitted) await this.#spendAnyway(credential, error);
      throw error;
    }
    if (route.complete === undefined || answer instanceof AppError || answer.status >= 300)
      return send(input.raw.reply, answer);
    const completed = await route.complete(JSON.parse(answer.text), { now: input.now });
    return send(input.raw.reply, { ...answer, text: JSON.stringify(completed) });
  }

  /** Runs the handler, or gives its first answer again. */
  async #handleOnce(
    route: WriteRoute,
    input: RouteInput,
    { trx, prepared, scope }: { trx: Transaction; prepared: unknown; scope: IdempotencyScope | null },
  ): Promise<HandlerAnswer | AppError> {
    // Everybody without a name would share one set of keys, and read each other's answers.
    if (scope === null || input.principal.kind === 'anonymous')
      return this.#finish(await route.handle(input, trx, prepared));
    const own = { ...scope, actor: actorName(input.principal) };
    const first = await findFirstAnswer(trx, own);
    if (first !== null) return { ...first, headers: { 'idempotency-replayed': 'true' } };
    const answer = this.#finish(await route.handle(input, trx, prepared));
    if (!(answer instanceof AppError)) await keepAnswer(trx, own, answer, input.now);
    return answer;
  }

  /** What is done before the transaction. Strangers are told that they are, and get no large body checked. */
  async #prepareFor(credential: Credential, route: WriteRoute, input: Unidentified) {
    const { request } = input.raw;
    const isLarge = (request.rawBody?.length ?? 0) > PREPARED_UNSEEN_BYTES_MAX;
    if (isLarge && route.prepare !== undefined) await this.#assertMayCall(credential, request, input.now);
    try {
      return { scope: this.#idempotencyOf(route, request), prepared: await route.prepare?.(input) };
    } catch (error) {
      if (!isLarge) await this.#assertMayCall(credential, request, input.now);
      throw error;
    }
  }

  #idempotencyOf(route: WriteRoute, request: FastifyRequest): IdempotencyScope | null {
    if (route.idempotency === 'none') return null;
    const key = readIdempotencyKey(request.headers['idempotency-key']);
    if (key === null) {
      if (route.idempotency === 'required') throw new AppError('IDEMPOTENCY_REQUIRED');
      return null;
    }
    const { method = '', url = '' } = request.raw;
    return { actor: '', key, requestHash: hashRequest(method, url, request.rawBody ?? NO_BODY) };
  }

  /** Who is calling, with the nonce spent. An unknown key is refused first, so that it cannot fill the table. */
  async #admit(trx: Transaction, credential: Credential, now: number): Promise<Principal> {
    const principal = await this.#identify(trx, credential, now);
    if (principal.kind === 'key' && !this.#takesAnyKey) throw new AppError('KEY_UNKNOWN');
    if (credential.kind === 'signature') await spendNonce(trx, credential);
    return principal;
  }

  async #identifyForReading(credential: Credential, now: number): Promise<Principal> {
    const { db } = this.#services.context;
    if (credential.kind !== 'signature') return this.#identify(db.read, credential, now);
    return db.write((trx) => this.#admit(trx, credential, now));
  }

  async #identify(reader: Reader, credential: Credential, now: number): Promise<Principal> {
    // Where only the key itself matters, an account of that key changes nothing (it is for the handler to find).
    if (credential.kind === 'signature' && this.permissions.length === 1 && this.permissions[0] === 'key')
      return { kind: 'key', publicKey: parsePublicKey(credential.keyid) };
    try {
      return await findPrincipal(reader, credential, this.#expected, now);
    } catch (error) {
      // Whoever has an old cookie still sees what everybody sees.
      if (this.#isPublic && isAppError(error, 'SESSION_INVALID')) return { kind: 'anonymous' };
      throw error;
    }
  }

  /**
   * A request that failed was rolled back together with its nonce. It must not work later either: a nonce is for one
   * attempt (I11).
   */
  async #spendAnyway(credential: Credential, error: unknown): Promise<void> {
    const isUnavailable = error instanceof AppError && error.kind === 'unavailable';
    if (credential.kind !== 'signature' || isUnavailable || isAppError(error, 'SIGNATURE_REPLAYED')) return;
    const { db, log } = this.#services.context;
    try {
      await db.write((trx) => spendNonce(trx, credential));
    } catch (spendError) {
      // Spent meanwhile by its double, which is as good; anything else must not hide the answer to the caller.
      if (!isAppError(spendError, 'SIGNATURE_REPLAYED'))
        log.warn({ err: spendError }, 'the nonce of a refused request could not be spent');
    }
  }

  /** The answer as it is sent, or the error that the handler gives as an answer. */
  #finish(answer: RouteAnswer): HandlerAnswer | AppError {
    if ('refused' in answer) return answer.refused;
    if (this.#services.checksAnswers) this.#checkAnswer(answer);
    const text = answer.status === 204 ? '' : JSON.stringify(answer.body);
    return answer.headers === undefined
      ? { status: answer.status, text }
      : { status: answer.status, text, headers: answer.headers };
  }

  #checkAnswer(answer: { status: number; body: unknown }): void {
    const { method, url, successStatus = 200, schema } = this.route;
    const name = `${method} ${url}`;
    if (answer.status !== successStatus)
      throw new AppError(
        'INTERNAL_BUG',
        `${name} answers ${String(answer.status)} instead of ${String(successStatus)}.`,
      );
    if (successStatus === 204) return;
    const answers = validatorOf(schema.response);
    // What goes over the wire is checked: JSON drops what is undefined.
    const body = JSON.parse(JSON.stringify(answer.body)) as unknown;
    if (answers.Check(body)) return;
    throw new AppError('INTERNAL_BUG', `${name} answers what its schema does not allow.`, {
      fields: findProblems(answers, body, ''),
    });
  }
}

function send(reply: FastifyReply, answer: HandlerAnswer | AppError): FastifyReply {
  if (answer instanceof AppError) throw answer;
  void reply.code(answer.status);
  if (answer.status !== 204) void reply.header('content-type', 'application/json; charset=utf-8');
  if (answer.headers !== undefined) void reply.headers(answer.headers);
  return reply.send(answer.text);
}
