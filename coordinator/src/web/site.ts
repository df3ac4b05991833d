/** What all pages share: how they are declared, framed and sent, and what is shown when one fails. */
import { Type, type TSchema } from 'typebox';
import { AppError, isAppError, statusOf } from '@dc/shared/errors';
import type { Context } from '../context.ts';
import type { Principal } from '../http/principal.ts';
import { streamRoute, type Route, type RouteInput } from '../http/route.ts';
import { loadAssets, type LoadedAssets } from './assets/load-assets.ts';
import { errorPage, notFoundPage } from './pages/error-page.ts';
import { renderPage, type PageParts } from './pages/layout.ts';
import { sendPage, sendRedirect } from './send-page.ts';
import type { WebData } from './web-data.ts';

/** A page to send, or a path to go to instead. */
export type PageAnswer = PageParts | { redirectTo: string };

/** A request of a page. */
export type PageInput = RouteInput<{ id?: string }>;

/** A request as far as an error page needs it. */
export type FailedInput = Pick<RouteInput, 'raw' | 'traceId'>;

export class Site {
  readonly context: Context;
  readonly data: WebData;
  #assets: Promise<LoadedAssets> | null = null;

  constructor(context: Context, data: WebData) {
    this.context = context;
    this.data = data;
  }

  /** The assets, loaded when they are first asked for. */
  assets(): Promise<LoadedAssets> {
    this.#assets ??= loadAssets().catch((error: unknown) => {
      this.#assets = null; // The next page tries again.
      throw error;
    });
    return this.#assets;
  }

  /** Declares a page. An AppError that `show` throws becomes its page. */
  page(url: string, summary: string, show: (input: PageInput) => Promise<PageAnswer>): Route {
    const params: TSchema = url.includes(':id') ? Type.Object({ id: Type.String() }) : Type.Object({});
    return streamRoute({
      method: 'GET',
      url,
      permission: 'public',
      summary,
      schema: { params, response: Type.String() },
      errors: [],
      produces: 'text/html',
      handle: async (input) => {
        const { principal, raw } = input;
        try {
          const answer = await show(input as PageInput);
          if ('redirectTo' in answer) await sendRedirect(raw, answer.redirectTo);
          else await this.#send(raw, principal, answer);
        } catch (error) {
          const known = isAppError(error) ? error : new AppError('INTERNAL_BUG', undefined, { cause: error });
          await this.sendError(input, known, principal);
        }
      },
    });
  }

  /** Shows `error` as a page, with its status. */
  async sendError({ raw, traceId }: FailedInput, error: AppError, principal?: Principal): Promise<void> {
    const status = statusOf(error.code);
    const isOurs = status >= 500;
    if (isOurs) this.context.log.error({ err: error, traceId }, 'a page failed');
    const { message: detail, remedy } = error;
    const title = isOurs ? 'This page cannot be shown now' : 'This does not work';
    const page =
      status === 404
        ? notFoundPage(NAMES[error.code])
        : errorPage({ status, title, detail, remedy, traceId: isOurs ? traceId : null });
    await this.#send(raw, isOurs ? undefined : principal, page, status);
  }

  async #send(
    raw: RouteInput['raw'],
    principal: Principal | undefined,
    page: PageParts,
    status = 200,
  ): Promise<void> {
    const account = principal?.kind === 'account' ? await this.data.findAccount(principal.account) : null;
    const { pageAssets } = await this.assets();
    const text = renderPage({ assets: pageAssets, account, now: this.context.clock.now() }, page);
    await sendPage(raw, { status, text, isPersonal: account !== null });
  }
}

/** What was looked for, by the code that says that it is not there. */
const NAMES: Readonly<Record<string, string>> = {
  OFFERING_NOT_FOUND: 'offering',
  CONTRACT_NOT_FOUND: 'contract',
  PROVIDER_NOT_FOUND: 'provider',
};
