/** More time for a contract: what was asked for, the button, and the dialog that shows the price. */
import { hoursText, moneyText } from '../format.ts';
import { html, httpUrl, type Html } from '../html.ts';
import type { ContractView } from './contract-parts.ts';

/** The button and what is not paid yet; null where there is neither. */
export function renderExtending({ contract, viewer }: ContractView): Html | null {
  const offer = viewer === 'renter' ? contract.may_extend : null;
  const pending = (contract.extensions ?? []).filter(({ status }) => status === 'pending');
  if ((offer ?? null) === null && pending.length === 0) return null;
  return html`${pending.map(({ hours, price, ...extension }) => {
    const payAt = httpUrl(extension.checkout_url ?? null);
    return html`<p class="notice">
      <b>${hoursText(hours)} more</b> for ${moneyText(price)}: not paid yet.
      ${payAt !== null && viewer === 'renter' && html`<a href="${payAt}">Pay now</a>`}
    </p>`;
  })}
  ${
    offer != null &&
    html`<p class="actions">
      <button type="button" class="button" id="extend-open" data-script hidden>Extend…</button>
      <span class="quiet"
        >${moneyText(offer.price_per_hour)} an hour, ${hoursText(offer.hours_max)} at most.</span
      >
    </p>`
  }`;
}

/** Asks how much more, shows what that costs, and only then lets the renter confirm. */
export function renderExtendDialog(): Html {
  return html`<dialog id="extend-dialog" aria-labelledby="extend-title">
    <h2 id="extend-title">Extend this contract</h2>
    <p>The time is added at the end, at the price of the contract, once it is paid.</p>
    <div class="field">
      <label for="extend-hours">Hours more</label>
      <input
        id="extend-hours"
        type="number"
        inputmode="numeric"
        min="1"
        value="24"
        aria-describedby="extend-note"
      />
      <p class="quiet" id="extend-note"></p>
    </div>
    <p>You pay <output id="extend-price" for="extend-hours">…</output></p>
    <p class="problem" id="extend-problem" role="alert"></p>
    <div class="actions">
      <button type="button" class="button" id="extend-close">Not now</button>
      <button type="button" class="button primary" id="extend-confirm" disabled>Extend</button>
    </div>
  </dialog>`;
}

/** What only an administrator sees: stopping a contract in a dispute or for abuse, and starting it again. */
export function renderOperatorPanel(): Html {
  return html`<section class="card" aria-labelledby="operator-title" id="operator" data-script hidden>
    <h2 id="operator-title">Administration</h2>
    <p>
      Pausing stops the instance and its clock, for a dispute or abuse. What is on it stays. Resuming starts
      it again, and its end moves by the time that it was paused.
    </p>
    <div class="field">
      <label for="operator-reason">Reason, shown to the renter</label>
      <input id="operator-reason" type="text" maxlength="500" autocomplete="off" />
    </div>
    <p class="problem" id="operator-problem" role="alert"></p>
    <div class="actions">
      <button type="button" class="button danger" id="operator-pause" hidden>Pause contract</button>
      <button type="button" class="button primary" id="operator-resume" hidden>Resume contract</button>
      <span class="quiet" id="operator-none" hidden
        >Only an active or a paused contract can be switched.</span
      >
    </div>
  </section>`;
}
