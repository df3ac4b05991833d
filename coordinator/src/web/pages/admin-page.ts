/** What waits for the operator: disputes, payments that do not fit, work that was given up. Each with what to do. */
import type { WireDispute, WireKeptEvent, WireRefundRequest } from '@dc/shared/wire/payment-admin';
import { moneyText, timeElement } from '../format.ts';
import { html, type Html } from '../html.ts';
import type { ShownAdmin } from '../web-data.ts';
import type { PageParts } from './layout.ts';

/** The page. */
export function adminPage({ disputes, events, refunds, failingRefunds, stuck }: ShownAdmin): PageParts {
  const open = disputes.filter(({ closed_at }) => closed_at === null);
  return {
    title: 'What waits for you',
    section: 'account',
    script: 'admin',
    main: html`<h1>What waits for you</h1>
      ${renderList('Refunds that wait for your approval', 'No refund waits.', refunds.map(renderRefund))}
      ${
        failingRefunds.length > 0 &&
        renderList(
          'Refunds that do not leave',
          '',
          failingRefunds.map(
            ({ key, attempts, lastError }) =>
              html`<li>
                <code class="wrap">${key}</code>
                <p>Tried ${attempts} times${lastError !== null && html`: ${lastError}`}</p>
                <p class="quiet">
                  It goes on being tried, always under the same key. Mend the cause, or pay it back in the
                  provider’s dashboard: that is seen and booked.
                </p>
              </li>`,
          ),
        )
      }
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
        What providers are owed: <code>GET /api/v1/admin/payment-releases</code>. The books of a month:
        <code>GET /api/v1/admin/reports/monthly.csv?month=2026-11</code>, and whether they add up:
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

const BOUND_TEXT: Readonly<Record<WireRefundRequest['bound'], string>> = {
  per_refund: 'It is above the bound for one refund.',
  per_renter_a_day: 'With it, this renter got back more today than the bound.',
  per_day: 'With it, all renters got back more today than the bound.',
};

function renderRefund(refund: WireRefundRequest): Html {
  const { id } = refund;
  return html`<li>
    <b>${moneyText(refund.amount)}</b> · ${refund.method} · ${timeElement(refund.asked_at)} ·
    <a href="/contracts/${refund.contract_id}">the contract</a> (${refund.cause})
    <p>
      ${BOUND_TEXT[refund.bound]} Declined, the money goes into the renter’s wallet, who reads your reason.
    </p>
    <form class="actions" data-refund="${id}" data-script hidden>
      <label for="reason-${id}">Reason</label>
      <input id="reason-${id}" name="reason" maxlength="500" autocomplete="off" />
      <button type="button" class="button primary" data-decide="approve">Approve</button>
      <button type="button" class="button danger" data-decide="decline">Decline</button>
    </form>
  </li>`;
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
