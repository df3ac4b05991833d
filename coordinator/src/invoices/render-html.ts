/** A document as one HTML file that needs nothing else: pure, the same bytes for the same body. */
import { createHash } from 'node:crypto';
import { formatMoney } from '@dc/shared/money/money';
import { html, type Html } from '../web/html.ts';
import { rateText, titleOf, type DocumentBody, type DocumentLine, type Party } from './document.ts';

const STYLE = `body{font:15px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}
table{border-collapse:collapse;width:100%}td,th{padding:.4rem 0;text-align:left;vertical-align:top;border-bottom:1px solid #ccc}
td:last-child,th:last-child{text-align:right;white-space:nowrap;padding-left:1rem}address{font-style:normal;white-space:pre-line}
small{display:block;color:#555;overflow-wrap:anywhere}.parties{display:flex;gap:3rem;flex-wrap:wrap}@media print{body{margin:0}}`;

/** The one style that may apply, for the policy of the answer. */
export const STYLE_HASH = `sha256-${createHash('sha256').update(STYLE).digest('base64')}`;

/** The file. */
export function renderHtml(body: DocumentBody): string {
  const money = (amountE9s: string): string =>
    formatMoney({ amountE9s: BigInt(amountE9s), currency: body.currency });
  const title = `${titleOf(body)} ${body.number}`;
  const page = html`<main>
    <h1>${title}</h1>
    <p>
      Issued <time datetime="${body.issued_at}">${body.issued_at.slice(0, 10)}</time>
      ${body.refers_to.length > 0 && html`· corrects ${body.refers_to.join(', ')}`} · payment:
      ${body.payment_method} ${body.contract_id !== null && html`<small>Contract ${body.contract_id}</small>`}
    </p>
    <div class="parties">${renderParty('From', body.seller)}${renderParty('To', body.buyer)}</div>
    <table>
      <thead>
        <tr>
          <th>What</th>
          <th>Net</th>
        </tr>
      </thead>
      <tbody>
        ${body.lines.map((line) => renderLine(line, money(line.net)))}
      </tbody>
      <tfoot>
        <tr>
          <td>Net</td>
          <td>${money(body.net)}</td>
        </tr>
        <tr>
          <td>VAT ${rateText(body)}</td>
          <td>${money(body.tax)}</td>
        </tr>
        <tr>
          <th>Total</th>
          <th>${money(body.gross)}</th>
        </tr>
      </tfoot>
    </table>
    ${body.notes.map((note) => html`<p>${note}</p>`)}
  </main>`.toString();
  // Around the template: a style is no place for values.
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title><style>${STYLE}</style></head><body>${page}</body></html>\n`;
}

function renderLine({ text, ledger, evidence }: DocumentLine, net: string): Html {
  return html`<tr>
    <td>
      ${text}<small>Booked as ${ledger.join(', ')}</small>${
        evidence.length > 0 && html`<small>Proved by the records ${evidence.join(', ')}</small>`
      }
    </td>
    <td>${net}</td>
  </tr>`;
}

function renderParty(title: string, { name, address, country, vat_number: vat }: Party): Html {
  return html`<section>
    <h2>${title}</h2>
    <address>${[name, address, country].filter((text) => text !== '').join('\n')}</address>
    ${vat !== null && html`<p>VAT number ${vat}</p>`}
  </section>`;
}
