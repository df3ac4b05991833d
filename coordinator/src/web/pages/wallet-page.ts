/** The renter's wallet: what it holds, putting more in, and what was put in. */
import type { WireTopUp } from '@dc/shared/wire/wallet';
import { moneyText, timeElement } from '../format.ts';
import { html, httpUrl, type Html } from '../html.ts';
import type { ShownWallet } from '../web-data.ts';
import type { PageParts } from './layout.ts';

/** The page of `wallet`. */
export function walletPage(wallet: ShownWallet): PageParts {
  return {
    title: 'Wallet',
    section: 'account',
    script: 'wallet',
    main: html`<h1>Wallet</h1>
      <section class="card" aria-labelledby="balance-title">
        <h2 id="balance-title">It holds</h2>
        ${
          wallet.balances.length === 0
            ? html`<p>Nothing yet.</p>`
            : html`<ul>
                ${wallet.balances.map((balance) => html`<li><b>${moneyText(balance)}</b></li>`)}
              </ul>`
        }
        <p class="quiet">
          Rentals paid from it settle at once. What is less than a cent of a refund comes here too.
        </p>
      </section>
      ${renderTopUp(wallet)} ${renderTopUps(wallet.top_ups)}`,
  };
}

const METHOD_NAMES: Readonly<Record<string, string>> = {
  stripe: 'Card and more (Stripe)',
  icpay: 'Crypto (ICPay)',
  test: 'Test payment: no real money',
};

function renderTopUp({ methods }: ShownWallet): Html {
  return html`<section class="card" aria-labelledby="top-up-title">
    <h2 id="top-up-title">Put money in</h2>
    <form id="top-up" novalidate autocomplete="off">
      <div class="field inline">
        <label for="amount">Amount</label>
        <input id="amount" name="amount" value="20.00 USD" maxlength="24" aria-describedby="amount-problem" />
        <p class="quiet">Such as <code>20.00 USD</code> or <code>15 EUR</code></p>
      </div>
      <p class="problem" id="amount-problem" role="alert"></p>
      <fieldset class="choices">
        <legend class="visually-hidden">Payment method</legend>
        ${methods.map(
          (method, index) =>
            html`<label
              ><input type="radio" name="payment_method" value="${method}" ${index === 0 && html`checked`} />
              <span><b>${METHOD_NAMES[method] ?? method}</b></span></label
            >`,
        )}
      </fieldset>
      <p class="actions"><button class="button primary" id="pay">Go to payment</button></p>
      <p class="problem" id="pay-problem" role="alert"></p>
      <noscript><p class="notice bad">Paying needs JavaScript.</p></noscript>
    </form>
  </section>`;
}

const STATUS_TEXT: Readonly<Record<WireTopUp['payment']['status'], string>> = {
  pending: 'waiting for your payment',
  processing: 'on its way',
  succeeded: 'arrived',
  failed: 'not paid',
};

function renderTopUps(topUps: readonly WireTopUp[]): Html | null {
  if (topUps.length === 0) return null;
  return html`<section class="card" aria-labelledby="top-ups-title">
    <h2 id="top-ups-title">What was put in</h2>
    <ul>
      ${topUps.map(({ amount, payment, created_at }) => {
        const url = httpUrl(payment.checkout_url);
        return html`<li>
          <b>${moneyText(amount)}</b> · ${timeElement(created_at)} · ${STATUS_TEXT[payment.status]}
          ${url !== null && html`<a href="${url}">Pay now</a>`}
        </li>`;
      })}
    </ul>
  </section>`;
}
