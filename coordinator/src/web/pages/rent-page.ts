/** Renting one offering: duration, system, SSH key, payment, and a total that is right at every moment. */
import { formatMoney } from '@dc/shared/money/money';
import type { WireMoney } from '@dc/shared/money/money';
import type { WireTokenRate } from '@dc/shared/wire/rate';
import { accountText, countryText, hoursText, moneyText } from '../format.ts';
import { html, type Html } from '../html.ts';
import { defaultHours, durationPresets, MONTH_HOURS, rentTotal, timePriceText } from '../price.ts';
import type { AccountName, ShownOffering } from '../web-data.ts';
import { renderIdentityPanel } from './identity-panel.ts';
import type { PageParts } from './layout.ts';
import { renderUsageCap, usagePriceText } from './usage-parts.ts';
import { renderSpecs, renderStock } from './offerings-page.ts';

/** What the page shows. */
export interface RentView {
  offering: ShownOffering;
  account: AccountName | null;
  paymentMethods: readonly string[];
  /** What the wallet holds in the offering's currency; null where nobody is signed in, or it never held any. */
  walletBalance?: WireMoney | null;
  /** What the tokens of payment methods cost now, by method. */
  tokenRates?: ReadonlyMap<string, WireTokenRate>;
}

/** The page that rents `offering`. */
export function rentPage(view: RentView): PageParts {
  const { offering } = view;
  return {
    title: `Rent ${offering.title}`,
    section: 'offerings',
    script: 'rent',
    main: html`<p class="crumbs"><a href="/">Offerings</a></p>
      <div class="rent-head">
        <h1>${offering.title}</h1>
        ${renderStock(offering.stock)}
      </div>
      <p class="quiet">
        from <a href="/providers/${offering.provider.pubkey}">${offering.provider.name}</a> ·
        ${countryText(offering.country)}
      </p>
      ${renderSpecs(offering)}
      ${offering.description !== '' && html`<p class="description">${offering.description}</p>`}
      <div class="rent">
        <div class="rent-steps">
          ${renderWho(view.account)}
          <form
            id="rent"
            novalidate
            autocomplete="off"
            data-offering="${JSON.stringify(formOffering(offering))}"
          >
            <fieldset class="plain" ${blockReason(view) !== null && html`disabled`}>
              <legend class="visually-hidden">Your order</legend>
              ${renderDuration(offering)} ${renderSystem(offering)} ${renderSshKey()}
              ${renderUsageCap(offering)} ${renderPayment(view)}
            </fieldset>
          </form>
        </div>
        ${renderSummary(view)}
      </div>`,
  };
}

/** What the page's module needs of the offering. */
export type FormOffering = Pick<
  ShownOffering,
  'id' | 'price_per_hour' | 'setup_fee' | 'min_hours' | 'max_hours'
>;

function formOffering({ id, price_per_hour, setup_fee, min_hours, max_hours }: ShownOffering): FormOffering {
  return { id, price_per_hour, setup_fee, min_hours, max_hours };
}

/** Why the offering cannot be rented now; null where it can. */
function blockReason({ offering, paymentMethods }: RentView): string | null {
  if (offering.stock === 'sold_out') return 'Sold out: all places of this offering are taken at the moment.';
  if (offering.stock === 'draining')
    return 'The provider takes no new contracts at the moment: it is in maintenance.';
  if (offering.stock === 'offline')
    return 'The provider’s agent is offline, so that nothing could be built now.';
  if (offering.stock === 'paused')
    return 'Nothing is sold here at the moment: the operator of this site is comparing its data with its providers’.';
  if (paymentMethods.length === 0) return 'This coordinator takes no payments yet.';
  return null;
}

function renderWho(account: AccountName | null): Html {
  if (account !== null) {
    return html`<section class="card slim" id="who" aria-labelledby="who-title">
      <h2 id="who-title" class="visually-hidden">Who rents</h2>
      <p>You rent as <b>${accountText(account)}</b>.</p>
    </section>`;
  }
  return html`<section class="card" id="who" aria-labelledby="who-title" data-signed-out tabindex="-1">
    <h2 id="who-title">Who you are</h2>
    ${renderIdentityPanel(3)}
  </section>`;
}

function renderDuration(offering: ShownOffering): Html {
  const chosen = defaultHours(offering);
  return html`<section class="card" aria-labelledby="duration-title">
    <h2 id="duration-title">How long</h2>
    <fieldset class="chips">
      <legend class="visually-hidden">Duration</legend>
      ${durationPresets(offering).map(
        ({ hours, label }) =>
          html`<label
            ><input type="radio" name="preset" value="${hours}" ${hours === chosen && html`checked`} />
            <span>${label}</span></label
          >`,
      )}
    </fieldset>
    <div class="field inline">
      <label for="duration_hours">Hours</label>
      <input
        id="duration_hours"
        name="duration_hours"
        value="${chosen}"
        inputmode="numeric"
        maxlength="6"
        aria-describedby="duration-hint duration_hours-problem"
      />
      <p class="quiet" id="duration-hint">
        ${hoursText(offering.min_hours)} to ${hoursText(offering.max_hours)}
      </p>
    </div>
    <p class="problem" id="duration_hours-problem" role="alert"></p>
  </section>`;
}

function renderSystem({ operating_systems: systems }: ShownOffering): Html {
  return html`<section class="card" aria-labelledby="system-title">
    <h2 id="system-title">Operating system</h2>
    <fieldset class="chips">
      <legend class="visually-hidden">Operating system</legend>
      ${systems.map(
        (system, index) =>
          html`<label
            ><input type="radio" name="operating_system" value="${system}" ${index === 0 && html`checked`} />
            <span>${system}</span></label
          >`,
      )}
    </fieldset>
    <p class="problem" id="operating_system-problem" role="alert"></p>
  </section>`;
}

function renderSshKey(): Html {
  return html`<section class="card" aria-labelledby="key-title">
    <h2 id="key-title">SSH key</h2>
    <p class="quiet">Only this key can log in. The instance has no password.</p>
    <fieldset class="segments" data-script hidden>
      <legend class="visually-hidden">Where the key comes from</legend>
      <label
        ><input type="radio" name="key_source" value="paste" checked /> <span>Paste a public key</span></label
      >
      <label><input type="radio" name="key_source" value="make" /> <span>Make one here</span></label>
    </fieldset>
    <div id="key-make" hidden>
      <p>
        A new key pair is made in this browser. The private half is saved as a file on your computer and is
        not sent anywhere.
      </p>
      <p class="actions">
        <button type="button" class="button" id="key-make-button">Make a key pair</button>
        <button type="button" class="button" id="key-reuse-button" hidden>
          Use the one made here before
        </button>
      </p>
      <div id="key-made" tabindex="-1" hidden>
        <p class="notice good" id="key-made-text"></p>
        <p data-new-key>Put it where <code>ssh</code> finds it, readable by you alone:</p>
        <div class="terminal" data-new-key>
          <code
            id="key-install"
            tabindex="0"
            role="textbox"
            aria-readonly="true"
            aria-label="The command that puts the key in place"
          ></code
          ><button
            type="button"
            class="button"
            data-copy="key-install"
            aria-label="Copy: the command that puts the key in place"
          >
            Copy
          </button>
        </div>
        <p class="actions" data-new-key>
          <button type="button" class="button" id="key-save-again">Save the file again</button>
        </p>
      </div>
    </div>
    <div class="field">
      <label for="ssh_public_key">Public key</label>
      <textarea
        id="ssh_public_key"
        name="ssh_public_key"
        rows="3"
        autocomplete="off"
        autocapitalize="none"
        spellcheck="false"
        placeholder="ssh-ed25519 AAAA… you@computer"
        aria-describedby="key-hint ssh_public_key-problem"
      ></textarea>
      <p class="quiet" id="key-hint">One line. To see yours: <code>cat ~/.ssh/id_ed25519.pub</code></p>
    </div>
    <p class="problem" id="ssh_public_key-problem" role="alert"></p>
  </section>`;
}

/** What payment methods are called. */
const METHOD_TEXT: Readonly<Record<string, { name: string; note: string }>> = {
  test: { name: 'Test payment: no real money', note: 'It settles at once. For trying things out.' },
  stripe: {
    name: 'Card and more',
    note: 'You pay at Stripe and come back here. A card is charged when your instance is ready.',
  },
  icpay: { name: 'Crypto', note: 'You pay at ICPay and come back here.' },
  wallet: { name: 'Wallet', note: 'It settles at once.' },
};

/** What is said of a payment method beside its name, and whether it can be chosen now. */
function describeMethod(method: string, { walletBalance, tokenRates }: RentView) {
  const { name, note } = METHOD_TEXT[method] ?? { name: method, note: '' };
  const rate = tokenRates?.get(method);
  if (rate?.usable === false)
    return { name, isUsable: false, note: `Not now: what ${rate.token} costs is not known well enough.` };
  const cost = rate?.rate_e9s == null ? null : { amount_e9s: rate.rate_e9s, currency: rate.currency };
  const more =
    method === 'wallet'
      ? ` ${walletBalance == null ? 'It is empty.' : `It holds ${moneyText(walletBalance)}.`}`
      : cost !== null && ` 1 ${rate?.token ?? ''} is ${moneyText(cost)} now.`;
  return { name, isUsable: true, note: `${note}${more === false ? '' : more}` };
}

function renderPayment(view: RentView): Html {
  const { paymentMethods: methods } = view;
  const described = methods.map((method) => ({ method, ...describeMethod(method, view) }));
  const first = described.find(({ isUsable }) => isUsable)?.method;
  return html`<section class="card" aria-labelledby="payment-title">
    <h2 id="payment-title">Payment</h2>
    ${
      methods.length === 0
        ? html`<p>This coordinator takes no payments yet.</p>`
        : html`<fieldset class="choices">
            <legend class="visually-hidden">Payment method</legend>
            ${described.map(
              ({ method, name, note, isUsable }) =>
                html`<label
                  ><input
                    type="radio"
                    name="payment_method"
                    value="${method}"
                    ${method === first && html`checked`}
                    ${!isUsable && html`disabled`}
                  />
                  <span><b>${name}</b> <span class="quiet">${note}</span></span></label
                >`,
            )}
          </fieldset>`
    }
    ${
      methods.includes('wallet') &&
      html`<p>
        <label
          ><input type="checkbox" name="refund_to" value="wallet" /> What comes back goes into my wallet, and
          not the way I paid</label
        >
        <a href="/wallet">Wallet</a>
      </p>`
    }
    <p class="problem" id="payment_method-problem" role="alert"></p>
  </section>`;
}

function renderSummary(view: RentView): Html {
  const { offering } = view;
  const hours = defaultHours(offering);
  const reason = blockReason(view);
  const hasFee = offering.setup_fee.amount_e9s !== '0';
  const usage = usagePriceText(offering);
  return html`<aside class="summary card" aria-labelledby="summary-title">
    <h2 id="summary-title">Total</h2>
    <dl class="sum">
      <div>
        <dt><span id="sum-hours">${hoursText(hours)}</span> × ${moneyText(offering.price_per_hour)}</dt>
        <dd id="sum-time">${timePriceText(offering, hours)}</dd>
      </div>
      ${
        hasFee &&
        html`<div>
          <dt>Setup, once</dt>
          <dd>${moneyText(offering.setup_fee)}</dd>
        </div>`
      }
    </dl>
    ${usage !== null && html`<p class="quiet">plus ${usage}</p>`}
    <div class="pay-bar">
      <p class="total">
        <span class="visually-hidden">Total:</span>
        <output id="sum-total" form="rent" for="duration_hours"
          >${formatMoney(rentTotal(offering, hours))}</output
        >
      </p>
      <button
        class="button primary"
        form="rent"
        id="pay"
        ${reason !== null && html`disabled aria-describedby="pay-reason"`}
      >
        Pay and start
      </button>
      <p class="problem" id="pay-problem" role="alert"></p>
      ${
        reason !== null &&
        html`<p class="notice bad" id="pay-reason">
          <span>${reason} <a href="/">Other offerings</a></span>
        </p>`
      }
    </div>
    <noscript><p class="notice bad">Paying needs JavaScript.</p></noscript>
    <p class="quiet">
      The time starts when you can log in. If it cannot be delivered, you get everything back; if you cancel,
      the unused time.
    </p>
    <p class="quiet">For comparison: ${timePriceText(offering, MONTH_HOURS)} a month (${MONTH_HOURS} h)</p>
  </aside>`;
}
