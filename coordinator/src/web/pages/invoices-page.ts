/** The renter's invoices, what stands on them, and what they allow themselves to spend in a month. */
import type { WireBillingProfile, WireInvoice, WireSpending } from '@dc/shared/wire/invoices';
import { moneyText, timeElement } from '../format.ts';
import { html, type Html } from '../html.ts';
import type { ShownInvoices } from '../web-data.ts';
import type { PageParts } from './layout.ts';

/** The page. `contractId` where only those of one contract are shown. */
export function invoicesPage(shown: ShownInvoices, contractId: string | null): PageParts {
  const { invoices, nextCursor, profile, spending } = shown;
  const of = contractId === null ? '' : `contract=${contractId}&`;
  return {
    title: 'Invoices',
    section: 'account',
    script: 'invoices',
    main: html`${
        contractId !== null && html`<p class="crumbs"><a href="/contracts/${contractId}">The contract</a></p>`
      }
      <h1>Invoices</h1>
      <section class="card" aria-labelledby="documents-title">
        <h2 id="documents-title">Invoices, receipts and credit notes</h2>
        ${
          invoices.length === 0
            ? html`<p>None yet. Each payment and each refund has one.</p>`
            : html`<ul>
                ${invoices.map(renderInvoice)}
              </ul>`
        }
        ${
          nextCursor !== null &&
          html`<p class="more">
            <a class="button" href="/invoices?${of}cursor=${nextCursor}">Older ones</a>
          </p>`
        }
      </section>
      ${renderSpending(spending)} ${renderProfile(profile)}`,
  };
}

const KINDS: Readonly<Record<WireInvoice['kind'], string>> = {
  invoice: 'Invoice',
  receipt: 'Receipt',
  credit_note: 'Credit note',
};

function renderInvoice({ number, kind, issued_at: at, gross, contract_id: id }: WireInvoice): Html {
  return html`<li>
    <b>${KINDS[kind]} ${number}</b> · ${timeElement(at)} · ${moneyText(gross)}
    ${id !== null && html`· <a href="/contracts/${id}">contract</a>`}
    <a href="/api/v1/invoices/${number}/html">Show</a>
    <a href="/api/v1/invoices/${number}/pdf" download>PDF</a>
  </li>`;
}

/** What was spent this month, and the limits; alerts where a share of one is reached. */
export function renderSpending({ month, spent, limits }: WireSpending): Html {
  return html`<section class="card" aria-labelledby="spending-title">
    <h2 id="spending-title">Spending in ${month}</h2>
    ${limits.map(renderLimit)}
    ${
      spent.length === 0
        ? html`<p>Nothing yet.</p>`
        : html`<ul>
            ${spent.map((sum) => html`<li>${moneyText(sum)}</li>`)}
          </ul>`
    }
    <form id="limits" novalidate autocomplete="off" data-script hidden>
      <div class="field inline">
        <label for="limit">Limit a month</label>
        <input
          id="limit"
          name="limit"
          value="${limits.map(({ limit }) => moneyText(limit)).join(', ')}"
          maxlength="120"
          aria-describedby="limit-problem"
        />
        <p class="quiet">Such as <code>100.00 USD</code>; empty for none. What runs already goes on.</p>
      </div>
      <p class="problem" id="limit-problem" role="alert"></p>
      <p class="actions"><button class="button" id="limit-save">Save the limit</button></p>
    </form>
  </section>`;
}

function renderLimit({ limit, spent, alerts }: WireSpending['limits'][number]): Html {
  const reached = alerts.at(-1);
  const text = html`${moneyText(spent)} of your limit of ${moneyText(limit)}`;
  if (reached === undefined) return html`<p>${text}</p>`;
  return html`<p class="notice ${reached.percent === 100 ? 'bad' : ''}">
    <b>${reached.percent} % of your limit is reached</b> since ${timeElement(reached.at)}: ${text}.
    ${reached.percent === 100 && html`Nothing more can be rented or extended before you raise it.`}
  </p>`;
}

function renderProfile(profile: WireBillingProfile | null): Html {
  const field = (id: string, label: string, value: string, max: number): Html =>
    html`<div class="field">
      <label for="${id}">${label}</label>
      <input id="${id}" name="${id}" value="${value}" maxlength="${max}" />
    </div>`;
  return html`<section class="card" aria-labelledby="profile-title">
    <h2 id="profile-title">What stands on your invoices</h2>
    <p class="quiet">From now on: those that are issued do not change.</p>
    <form id="profile" novalidate data-script hidden>
      ${field('name', 'Name or company', profile?.name ?? '', 200)}
      <div class="field">
        <label for="address">Address</label>
        <textarea id="address" name="address" rows="3" maxlength="500">${profile?.address ?? ''}</textarea>
      </div>
      ${field('country', 'Country (two letters)', profile?.country ?? '', 2)}
      ${field('vat', 'VAT number, if you have one', profile?.vat_number ?? '', 15)}
      <p class="problem" id="profile-problem" role="alert"></p>
      <p class="actions"><button class="button" id="profile-save">Save</button></p>
    </form>
    <noscript><p class="notice bad">Changing this needs JavaScript.</p></noscript>
  </section>`;
}
