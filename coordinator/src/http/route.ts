/**
 * Routes as data. A slice exports a list of routes; `build-server.ts` registers them all the same way: authenticate,
 * check the permission, validate, run, answer. A route without a permission does not compile.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Static, TSchema } from 'typebox';
import type { AppError, ErrorCode } from '@dc/shared/errors';
import type { Transaction } from '../database/database.ts';
import type { Permission, Principal } from './principal.ts';

/** What a handler gets of its request: parsed, validated and typed by the route's schemas. */
export interface RouteInput<Params = unknown, Query = unknown, Body = unknown> {
  principal: Principal;
  params: Params;
  query: Query;
  body: Body;
  /** Server time of this request, in milliseconds. */
  now: number;
  traceId: string;
  /** Host and port that the caller addressed, in lower case: checked to be ours where there is a signature. */
  authority: string;
  /** For cookies and streams only. Server-sent events: `context.streams.open`. */
  raw: { request: FastifyRequest; reply: FastifyReply };
}

/** What `prepare` gets: the request without who it turns out to be. */
export type PrepareInput<Params = unknown, Query = unknown, Body = unknown> = Omit<
  RouteInput<Params, Query, Body>,
  'principal'
> & {
  /** The public key that signed the request; null for a session, or nobody. */
  signer: string | null;
};

/**
 * A handler's answer. `headers` are added to the response. A thrown error rolls the transaction back; `refused`
 * answers the error as well, but keeps what was written (the proof of a fork, say).
 */
export type RouteAnswer<Body = unknown> =
  { status: number; body: Body; headers?: Record<string, string> } | { refused: AppError };

interface RouteSchemas<P extends TSchema, Q extends TSchema, B extends TSchema, R extends TSchema> {
  params?: P;
  query?: Q;
  body?: B;
  /** The body of the successful answer. */
  response: R;
}

interface RouteBase<P extends TSchema, Q extends TSchema, B extends TSchema, R extends TSchema> {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Fastify path; slices write it in full (`/api/v1/contracts/:id`). */
  url: string;
  /** Who may call; several mean any of them. */
  permission: Permission | readonly [Permission, ...Permission[]];
  /** One sentence for the OpenAPI document. */
  summary: string;
  schema: RouteSchemas<P, Q, B, R>;
  /** The codes that this route's own logic raises, beside those that every route can. */
  errors: readonly ErrorCode[];
  /** The status of success. 200 unless said otherwise. */
  successStatus?: 200 | 201 | 204;
  /** The largest body taken, in bytes. 64 KiB unless said otherwise. */
  bodyLimitBytes?: number;
  /** True for what load balancers and pages ask for all the time: health, static assets. */
  isExemptFromRateLimits?: boolean;
}

/** Reads only: runs on the read connection. */
export interface ReadRoute<
  P extends TSchema = TSchema,
  Q extends TSchema = TSchema,
  B extends TSchema = TSchema,
  R extends TSchema = TSchema,
> extends RouteBase<P, Q, B, R> {
  kind: 'read';
  handle(input: RouteInput<Static<P>, Static<Q>, Static<B>>): Promise<RouteAnswer<Static<R>>>;
}

/**
 * Changes something: runs inside ONE write transaction together with the spending of the nonce and, unless
 * `idempotency` is `none`, the look-up and keeping of the Idempotency-Key. The handler only touches the database;
 * what must leave goes into the outbox or `trx.afterCommit`. It may be run again from the start.
 */
export interface WriteRoute<
  P extends TSchema = TSchema,
  Q extends TSchema = TSchema,
  B extends TSchema = TSchema,
  R extends TSchema = TSchema,
  Prepared = unknown,
> extends RouteBase<P, Q, B, R> {
  kind: 'write';
  /** `required`: refuses a call without an Idempotency-Key; `optional`: keeps the answer when there is one. */
  idempotency: 'required' | 'optional' | 'none';
  /**
   * What needs no transaction (checking the signatures of records, reading SSH keys), before it. Whose key signed is
   * not known yet. `handle` gets what it returns.
   */
  prepare?(input: PrepareInput<Static<P>, Static<Q>, Static<B>>): Prepared | Promise<Prepared>;
  handle(
    input: RouteInput<Static<P>, Static<Q>, Static<B>>,
    trx: Transaction,
    prepared: Prepared,
  ): Promise<RouteAnswer<Static<R>>>;
  /**
   * Adds to the answer what can be known only after the commit (an address at another company's, say): also to the
   * first answer that is given again. What was done is done: it may take a few seconds, and does not throw.
   */
  complete?(body: Static<R>, input: { now: number }): Promise<Static<R>>;
}

/** Answers by itself on `input.raw.reply` (server-sent events, JSON lines, HTML). */
export interface StreamRoute<
  P extends TSchema = TSchema,
  Q extends TSchema = TSchema,
  B extends TSchema = TSchema,
  R extends TSchema = TSchema,
> extends RouteBase<P, Q, B, R> {
  kind: 'stream';
  /** The media type of the answer, for the OpenAPI document. */
  produces: string;
  /** What a client that comes back with `Last-Event-ID` gets, for the OpenAPI document; unset where it gets nothing. */
  resumption?: string;
  handle(input: RouteInput<Static<P>, Static<Q>, Static<B>>): Promise<void>;
}

export type Route = ReadRoute | WriteRoute | StreamRoute;

/** Declares a read route with its types inferred from its schemas. */
export function readRoute<P extends TSchema, Q extends TSchema, B extends TSchema, R extends TSchema>(
  route: Omit<ReadRoute<P, Q, B, R>, 'kind'>,
): Route {
  return { kind: 'read', ...route } as unknown as Route;
}

/** Declares a write route with its types inferred from its schemas. */
export function writeRoute<
  P extends TSchema,
  Q extends TSchema,
  B extends TSchema,
  R extends TSchema,
  Prepared = undefined,
>(route: Omit<WriteRoute<P, Q, B, R, Prepared>, 'kind'>): Route {
  return { kind: 'write', ...route } as unknown as Route;
}

/** Declares a route that writes its own answer. */
export function streamRoute<P extends TSchema, Q extends TSchema, B extends TSchema, R extends TSchema>(
  route: Omit<StreamRoute<P, Q, B, R>, 'kind'>,
): Route {
  return { kind: 'stream', ...route } as unknown as Route;
}
