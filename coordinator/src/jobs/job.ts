/** What a job is to the one who writes its handler. */

/** A row being carried out. */
export interface Job<Payload> {
  key: string;
  payload: Payload;
  /** 1 for the first. */
  attempt: number;
  /** Aborts at the deadline, when the lease is lost, and when a drain is over. */
  signal: AbortSignal;
}

/**
 * Does the work of a row. Returning means done; throwing means again later: after `retryAfterMs` where the error has
 * it. It may run more than once for the same row, also at the end of a lost lease.
 */
export type JobHandler<Payload> = (job: Job<Payload>) => Promise<void>;

export interface TopicOptions {
  /** Rows of the topic that this process works on at the same time. */
  concurrency?: number;
  /** After this many failures the row needs attention. */
  attemptsMax?: number;
  /** When `signal` aborts, in milliseconds after the start. */
  deadlineMs?: number;
}

/** What became of one run of a job, for metrics. */
export interface JobEvent {
  topic: string;
  outcome: 'done' | 'failed' | 'needs_attention' | 'lease_lost' | 'returned';
  durationMs: number;
}
