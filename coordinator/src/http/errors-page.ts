/** The page to which the `type` of every problem document leads: what each code means and what to do about it. */
import { Type } from 'typebox';
import { ERRORS, statusOf, type ErrorCode } from '@dc/shared/errors';
import { streamRoute, type Route } from './route.ts';

/** GET /docs/errors. Plain HTML without styles or scripts, so that it needs nothing else. */
export function errorsPageRoute(): Route {
  const text = buildPage();
  return streamRoute({
    method: 'GET',
    url: '/docs/errors',
    permission: 'public',
    summary: 'Every error code, its meaning and its remedy.',
    schema: { response: Type.String() },
    produces: 'text/html',
    errors: [],
    async handle({ raw: { reply } }) {
      await reply
        .headers({ 'cache-control': 'public, max-age=3600' })
        .type('text/html; charset=utf-8')
        .send(text);
    },
  });
}

function buildPage(): string {
  const entries = (Object.keys(ERRORS) as ErrorCode[]).map((code) => {
    const { title, remedy } = ERRORS[code];
    return `<dt id="${code}"><code>${code}</code> (${String(statusOf(code))})<dd>${escape(title)} ${escape(remedy)}`;
  });
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Error codes</title><h1>Error codes</h1><p>A code is stable for ever.<dl>${entries.join('\n')}</dl>`;
}

const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
