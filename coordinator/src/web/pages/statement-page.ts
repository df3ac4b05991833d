/** What a provider earned in a month, was paid, and is owed. */
import { toWire } from '@dc/shared/money/money';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import { moneyText, timeElement } from '../format.ts';
import { html, type Html } from '../html.ts';
import type { ShownStatement } from '../web-data.ts';
import type { PageParts } from './layout.ts';

/** The page. */
export function statementPage({
  provider,
  name,
  month,
  fromAt,
  toAt,
  totals,
  releases,
}: ShownStatement): PageParts {
  const period = `from=${toTimestamp(fromAt)}&to=${toTimestamp(toAt)}`;
  return {
    title: `Statement of ${month}`,
    section: 'account',
    main: html`<p class="crumbs"><a href="/providers/${provider}">${name}</a></p>
      <h1>Statement of ${month}</h1>
      <p class="actions">
        <a class="button" href="/providers/${provider}/statement?month=${neighbour(month, -1)}"
          >The month before</a
        >
        <a class="button" href="/providers/${provider}/statement?month=${neighbour(month, 1)}"
          >The month after</a
        >
        <a class="button" href="/api/v1/providers/${provider}/statement.csv?${period}" download>As CSV</a>
      </p>
      ${totals.length === 0 && html`<p>Nothing was earned or paid yet.</p>`} ${totals.map(renderTotal)}
      <section class="card" aria-labelledby="releases-title">
        <h2 id="releases-title">Releases</h2>
        ${
          releases.length === 0
            ? html`<p>None in this month.</p>`
            : html`<ul>
                ${releases.map(renderRelease)}
              </ul>`
        }
        <p class="quiet">
          The newest ${releases.length} are here; all of them, with their proof, in the CSV.
        </p>
      </section>`,
  };
}

function renderTotal(total: ShownStatement['totals'][number]): Html {
  const money = (amountE9s: bigint): string => moneyText(toWire({ amountE9s, currency: total.currency }));
  const fact = (term: string, amountE9s: bigint): Html =>
    html`<div>
      <dt>${term}</dt>
      <dd>${money(amountE9s)}</dd>
    </div>`;
  return html`<section class="card">
    <h2>${total.currency}</h2>
    <dl class="facts">
      ${fact('Earned in this month', total.earnedE9s)} ${fact('Paid out in this month', total.paidOutE9s)}
      ${fact('On its way', total.inFlightE9s)} ${fact('Owed to you now', total.payableE9s)}
    </dl>
  </section>`;
}

const KINDS: Readonly<Record<string, string>> = {
  setup_fee: 'set-up fee',
  time: 'proved time',
  usage: 'use beyond the rent',
  reversal: 'taken back: a dispute was lost',
};

function renderRelease(row: ShownStatement['releases'][number]): Html {
  const amount = toWire({ amountE9s: row.amount_e9s, currency: row.currency });
  return html`<li>
    <b>${moneyText(amount)}</b> · ${timeElement(toTimestamp(row.at))} · ${KINDS[row.kind] ?? row.kind} ·
    <a href="/contracts/${row.contract_id}">contract</a>
    ${row.payout_id !== null && html`· paid out`}
  </li>`;
}

/** The month before or after. */
function neighbour(month: string, step: -1 | 1): string {
  const [year = 0, number = 1] = month.split('-').map(Number);
  return new Date(Date.UTC(year, number - 1 + step)).toISOString().slice(0, 7);
}
