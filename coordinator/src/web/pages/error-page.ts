/** What a person sees when something went wrong: what, what to do, and where to go on. */
import { html, type Html } from '../html.ts';
import type { PageParts } from './layout.ts';

/** A failure in words. */
export interface ErrorView {
  status: number;
  title: string;
  detail: string;
  remedy: string;
  traceId: string | null;
}

/** The page for a failure. */
export function errorPage(view: ErrorView): PageParts {
  return { title: view.title, main: renderError(view) };
}

/** The page for an address where nothing is; `what` names what was looked for. */
export function notFoundPage(what = 'page'): PageParts {
  return errorPage({
    status: 404,
    title: `There is no such ${what}`,
    detail: 'The address may be mistyped, or what stood here is gone.',
    remedy: 'Check the address, or go on from the list of offerings.',
    traceId: null,
  });
}

function renderError({ status, title, detail, remedy, traceId }: ErrorView): Html {
  return html`<div class="empty">
    <p class="quiet">Error ${status}</p>
    <h1>${title}</h1>
    ${detail !== title && html`<p>${detail}</p>`}
    <p>${remedy}</p>
    ${traceId !== null && html`<p class="quiet">Should you report this, name <code>${traceId}</code>.</p>`}
    <p class="actions">
      <a class="button" href="/">To the offerings</a> <a href="/contracts">My contracts</a>
    </p>
  </div>`;
}
