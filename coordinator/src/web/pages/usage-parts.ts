/** What use beyond the rent costs, on the pages: of an offering, in the order, and of a contract. */
import { formatMoney } from '@dc/shared/money/money';
import type { WireOffering } from '@dc/shared/wire/offering';
import type { BillingUnit, WireUsage, WireUsageCharge } from '@dc/shared/wire/usage';
import { moneyText, timeElement } from '../format.ts';
import { html, type Html } from '../html.ts';

/** The prices of an offering that charges for use. */
type UsagePriced = Pick<WireOffering, 'billing_unit' | 'price_per_unit' | 'included_units'>;

/** `0.02 USD for each hour of use beyond 10 in 30 days`; null where the rent is all. */
export function usagePriceText({ billing_unit, price_per_unit, included_units }: UsagePriced): string | null {
  if (billing_unit === undefined || price_per_unit === undefined) return null;
  const included = included_units ?? 0;
  const beyond = included === 0 ? '' : ` beyond ${String(included)} in 30 days`;
  return `${moneyText(price_per_unit)} for each ${billing_unit} of use${beyond}`;
}

/** Units that the cap on the page is for until the renter says otherwise. */
const CAP_UNITS = 10n;

/** The part of an order in which the renter accepts a cap; null where the rent is all. */
export function renderUsageCap(offering: UsagePriced): Html | null {
  const text = usagePriceText(offering);
  const { price_per_unit: price } = offering;
  if (text === null || price === undefined) return null;
  const { currency } = price;
  const [amount = ''] = formatMoney({ amountE9s: BigInt(price.amount_e9s) * CAP_UNITS, currency }).split(' ');
  return html`<section class="card" aria-labelledby="usage-title">
    <h2 id="usage-title">Use beyond the rent</h2>
    <p>${text}. It is taken from your wallet after each 30 days, and never more than you accept here.</p>
    <div class="field inline">
      <label for="usage_cap">At most, in 30 days (${currency})</label>
      <input
        id="usage_cap"
        name="usage_cap"
        value="${amount}"
        inputmode="decimal"
        maxlength="20"
        aria-describedby="usage_cap-problem"
      />
    </div>
    <p class="problem" id="usage_cap-problem" role="alert"></p>
  </section>`;
}

/** `3.58 hours`: two decimals at most, cut off. */
export function unitsText(unitsE9s: string, unit: BillingUnit): string {
  const hundredths = BigInt(unitsE9s) / 10_000_000n;
  const text = `${String(hundredths / 100n)}.${String(hundredths % 100n).padStart(2, '0')}`.replace(
    /\.?0+$/,
    '',
  );
  return `${text} ${unit}${text === '1' ? '' : 's'}`;
}

/** What was used of a contract, and what comes of it; null where it costs nothing and nothing was told of. */
export function renderUsage(usage: WireUsage | null): Html | null {
  if (usage === null || (usage.pricing_model === 'flat' && usage.events === 0)) return null;
  const { period, billing_unit: unit, unpaid } = usage;
  const isPriced = usage.pricing_model === 'usage';
  return html`<section class="card" aria-labelledby="usage-title">
    <h2 id="usage-title">Use</h2>
    ${
      period === null
        ? html`<p>It is counted from the first login on.</p>`
        : html`<dl class="facts">
            <div>
              <dt>Since ${timeElement(period.from)}</dt>
              <dd>${unitsText(period.used_units_e9s, unit)}</dd>
            </div>
            ${isPriced && renderEstimate(usage, period)}
          </dl>`
    }
    ${
      period?.cap_reached === true &&
      isPriced &&
      html`<p class="notice">
        What you accepted is reached: more use costs nothing until ${timeElement(period.to)}.
      </p>`
    }
    ${
      unpaid.amount_e9s !== '0' &&
      html`<p class="notice bad">
        <span
          ><b>${moneyText(unpaid)} is unpaid.</b> It is taken from your <a href="/wallet">wallet</a> as soon
          as it is there. After a week you cannot rent or extend what charges for use.</span
        >
      </p>`
    }
    ${
      usage.charges.length > 0 &&
      html`<ul>
        ${usage.charges.map((charge) => renderCharge(charge, unit))}
      </ul>`
    }
  </section>`;
}

function renderEstimate(usage: WireUsage, period: NonNullable<WireUsage['period']>): Html {
  return html`<div>
      <dt>Included until ${timeElement(period.to)}</dt>
      <dd>${unitsText(period.included_units_e9s, usage.billing_unit)}</dd>
    </div>
    <div>
      <dt>Beyond the rent, so far</dt>
      <dd><b>${moneyText(period.charge_so_far)}</b> (${moneyText(usage.price_per_unit)} each)</dd>
    </div>
    <div>
      <dt>If it goes on like this</dt>
      <dd>${moneyText(period.estimated_charge)}, and never more than ${moneyText(usage.cap)}</dd>
    </div>`;
}

function renderCharge(charge: WireUsageCharge, unit: BillingUnit): Html {
  return html`<li>
    <b>${moneyText(charge.amount)}</b> for ${unitsText(charge.overage_units_e9s, unit)} beyond the rent,
    ${timeElement(charge.from)} to ${timeElement(charge.to)}: ${charge.status === 'paid' ? 'paid' : 'unpaid'}
  </li>`;
}
