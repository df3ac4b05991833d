/** The frame of every page: head, header with navigation, main part, footer. */
import { accountText } from '../format.ts';
import { html, type Html } from '../html.ts';
import type { AccountName } from '../web-data.ts';

/** Addresses of the files that pages load. `scripts` by entry, each with the chunks it imports at once. */
export interface PageAssets {
  style: string;
  icon: string;
  scripts: Readonly<Record<string, { file: string; imports: readonly string[] }>>;
}

/** What the frame needs to know of a request. */
export interface Frame {
  assets: PageAssets;
  /** Who is logged in; null for nobody. */
  account: AccountName | null;
  /** Server time of the request, in milliseconds. */
  now: number;
}

/** What a page puts into the frame. */
export interface PageParts {
  title: string;
  /** The entry of the navigation that this page belongs to. */
  section?: 'offerings' | 'contracts' | 'account';
  main: Html;
  /** The page's own module beside the common one: a name of `PageAssets.scripts`. */
  script?: string;
}

/** The whole document. */
export function renderPage(frame: Frame, page: PageParts): string {
  const { assets } = frame;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${page.title} · dc</title>
        <link rel="icon" href="${assets.icon}" type="image/svg+xml" />
        <link rel="stylesheet" href="${assets.style}" />
        ${['page', page.script].map((name) => renderScript(assets, name))}
      </head>
      <body data-now="${new Date(frame.now).toISOString()}">
        <a class="skip" href="#main">Skip to the content</a>
        ${renderHeader(frame, page.section)}
        <main id="main" tabindex="-1">${page.main}</main>
        <footer class="footer">
          <p>Prices are exact: by the hour, paid ahead, unused time refunded.</p>
          <p><a href="/api/v1/openapi.json">API description</a></p>
        </footer>
        <p id="announcer" class="visually-hidden" role="status"></p>
      </body>
    </html>`.toString();
}

function renderScript(assets: PageAssets, name: string | undefined): Html | null {
  const script = name === undefined ? undefined : assets.scripts[name];
  if (script === undefined) return null;
  return html`${script.imports.map((file) => html`<link rel="modulepreload" href="${file}" />`)}
    <script type="module" src="${script.file}"></script>`;
}

function renderHeader({ account }: Frame, section: PageParts['section']): Html {
  const current = (name: PageParts['section']) => section === name && html`aria-current="page"`;
  return html`<header class="header">
    <a class="brand" href="/"><span class="brand-mark" aria-hidden="true">dc</span> Servers by the hour</a>
    <nav class="nav" aria-label="Main">
      <a href="/" ${current('offerings')}>Offerings</a>
      <a href="/contracts" ${current('contracts')}>My contracts</a>
      ${account?.is_admin === 1 && html`<a href="/admin">What waits</a>`}
      <a href="/login" ${current('account')}>${account === null ? 'Sign in' : accountText(account)}</a>
    </nav>
  </header>`;
}
