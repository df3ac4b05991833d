/** The renter's contracts, newest first. */
import type { WireContract } from '@dc/shared/wire/contract';
import { hasEnded, stateText } from '../contract-text.ts';
import { durationText, moneyText, timeElement } from '../format.ts';
import { html, type Html } from '../html.ts';
import type { Page } from '../web-data.ts';
import type { PageParts } from './layout.ts';

/** The page with one page of contracts. */
export function contractsPage(page: Page<WireContract>, now: number): PageParts {
  return {
    title: 'My contracts',
    section: 'contracts',
    main: html`<h1>My contracts</h1>
      ${
        page.items.length === 0
          ? renderNone()
          : html`<ul class="contracts">
              ${page.items.map((contract) => renderContract(contract, now))}
            </ul>`
      }
      ${
        page.nextCursor !== null &&
        html`<p class="more">
          <a class="button" href="/contracts?cursor=${page.nextCursor}">Older contracts</a>
        </p>`
      }`,
  };
}

function renderContract(contract: WireContract, now: number): Html {
  const text = stateText(contract.state);
  return html`<li>
    <article class="contract">
      <div>
        <h2><a href="/contracts/${contract.id}">${contract.offering_title}</a></h2>
        <p class="quiet">Ordered ${timeElement(contract.created_at)}</p>
      </div>
      <span class="badge ${text.tone}">${text.label}</span>
      <p class="when">${renderTime(contract, now)}</p>
      <p class="money">
        ${moneyText(contract.total)}${
          contract.refunded !== null &&
          html`<br /><span class="quiet">${moneyText(contract.refunded)} refunded</span>`
        }
      </p>
    </article>
  </li>`;
}

function renderTime(contract: WireContract, now: number): Html | null {
  if (contract.ended_at !== null)
    return html`<span class="quiet">Ended ${timeElement(contract.ended_at)}</span>`;
  if (contract.ends_at === null || hasEnded(contract)) return null;
  const left = durationText(Date.parse(contract.ends_at) - now);
  return html`<b data-until="${contract.ends_at}">${left}</b> left`;
}

function renderNone(): Html {
  return html`<div class="empty">
    <h2>You have not rented anything yet</h2>
    <p>What you rent stands here, with its time left and the command to log in.</p>
    <p class="actions"><a class="button primary" href="/">See the offerings</a></p>
  </div>`;
}
