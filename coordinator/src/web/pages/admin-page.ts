/** What waits for the operator: disputes, payments that do not fit, work that was given up. Each with what to do. */
import type { WireDispute, WireKeptEvent } from '@dc/shared/wire/payment-admin';
import { moneyText, timeElement } from '../format.ts';
import { html, type Html } from '../html.ts';
import type { ShownAdmin } from '../web-data.ts';
import type { PageParts } from './layout.ts';

/** The page. */
export function adminPage({ disputes, events, stuck }: ShownAdmin): PageParts {
  const open = disputes.filter(({ closed_at }) => closed_at === null);
  return {
    title: 'What waits for you',
    section: 'account',
    script: 'admin',
    main: html`<h1>What waits for you</h1>
      ${renderList('Disputes', 'No dispute is open.', open.map(renderDispute))}
      ${renderList('Payments that do not fit', 'Every payment is what was asked for.', events.map(renderEvent))}
      ${renderList(
        'Work that was given up',
        'Nothing was given up.',
        stuck.map(
          ({ topic, key, attempts, lastError }) =>
            html`<li>
              <b>${topic}</b> <code class="wrap">${key}</code>
              <p>Given up after ${attempts} attempts${lastError !== null && html`: ${lastError}`}</p>
              <p class="quiet">Mend the cause, then let it be tried again: see the runbook.</p>
            </li>`,
        ),
      )}
      <p class="problem" id="admin-problem" role="alert"></p>
      <p class="quiet">
        What providers are owed: <code>GET /api/v1/admin/payment-releases</code>. The books:
        <code>dc-coordinator admin ledger verify</code>.
      </p>`,
  };
}

function renderList(title: string, none: string, items: readonly Html[]): Html {
  return html`<section class="card">
    <h2>${title}</h2>
    ${
      items.length === 0
        ? html`<p>${none}</p>`
        : html`<ul>
            ${items}
          </ul>`
    }
  </section>`;
}

function renderDispute(dispute: WireDispute): Html {
  const { contract_id: contractId, evidence_due_at: dueAt } = dispute;
  return html`<li>
    <b>${dispute.status === 'warning' ? 'Early warning' : moneyText(dispute.amount)}</b> · ${dispute.method}
    <code class="wrap">${dispute.id}</code> · ${dispute.reason} · ${timeElement(dispute.created_at)}
    ${contractId !== null && html`· <a href="/contracts/${contractId}">the contract</a>`}
    ${dueAt !== null && html`<p>Evidence is due ${timeElement(dueAt)}.</p>`}
    <p>${dispute.remedy}</p>
  </li>`;
}

function renderEvent(event: WireKeptEvent): Html {
  return html`<li>
    <b>${event.type}</b> · ${event.method} <code class="wrap">${event.id}</code> ·
    ${timeElement(event.received_at)}
    <p>${event.detail}</p>
    <p>${event.remedy}</p>
    <p class="actions">
      <button type="button" class="button" data-script hidden data-dismiss="${event.method}/${event.id}">
        Dismiss
      </button>
    </p>
  </li>`;
}
