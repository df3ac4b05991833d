/** Calls of the coordinator's API with the session's cookie. */
import type { WireProblem } from '@dc/shared/wire/schema-parts';

/** An answer that is an error, or none at all. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** 0 where no answer came. */
  readonly status: number;
  readonly code: string;
  readonly remedy: string;
  readonly fields: readonly { pointer: string; detail: string }[];
  /** The server's time, where the answer says it. */
  readonly serverTime: string | undefined;

  constructor(problem: Partial<WireProblem>, status: number) {
    super(problem.detail ?? 'The coordinator gave an answer that cannot be read.');
    this.status = status;
    this.code = problem.code ?? '';
    this.remedy = problem.remedy ?? 'Try again in a moment.';
    this.fields = problem.errors ?? [];
    this.serverTime = problem.server_time;
  }

  /** Both sentences, for people. */
  get text(): string {
    return `${this.message} ${this.remedy}`;
  }
}

/** What a call sends beside its method and path. */
export interface ApiCall {
  body?: string;
  headers?: Readonly<Record<string, string>>;
}

const TIMEOUT_MS = 20_000;

/** Calls the API. Throws an ApiError for everything that is not a success. */
export async function callApi<Answer>(method: string, path: string, call: ApiCall = {}): Promise<Answer> {
  const response = await send(method, path, call);
  const text = await response.text().catch(() => '');
  const answer = parse(text);
  if (!response.ok) throw new ApiError(answer ?? {}, response.status);
  return answer as Answer;
}

async function send(method: string, path: string, { body, headers }: ApiCall): Promise<Response> {
  try {
    return await fetch(`/api/v1${path}`, {
      method,
      credentials: 'same-origin',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body }),
    });
  } catch (error) {
    const problem = {
      detail: 'The coordinator cannot be reached.',
      remedy: 'Check your connection and try again: nothing is done twice.',
    };
    throw new ApiError({ ...problem, code: String(error) }, 0);
  }
}

function parse(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text);
  } catch {
    return null; // Not JSON: some proxy's page. The status says what matters.
  }
}

/** What to show for anything thrown. */
export function problemText(error: unknown): string {
  if (error instanceof ApiError) return error.text;
  return error instanceof Error ? error.message : String(error);
}
