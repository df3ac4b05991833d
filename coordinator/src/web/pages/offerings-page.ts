/** The list of offerings with its filter: a plain GET form, complete without any script. */
import { countryText, hoursText, memoryText, moneyText } from '../format.ts';
import { html, type Html } from '../html.ts';
import { isNarrowed, nextPageQuery, type FilterFields } from '../offering-filter.ts';
import { MONTH_HOURS, timePriceText } from '../price.ts';
import type { Page, ShownOffering, Stock } from '../web-data.ts';
import type { PageParts } from './layout.ts';
import { usagePriceText } from './usage-parts.ts';

/** What the page shows. */
export interface OfferingsView {
  fields: FilterFields;
  problems: Partial<Record<keyof FilterFields, string>>;
  countries: readonly string[];
  page: Page<ShownOffering>;
}

export function offeringsPage(view: OfferingsView): PageParts {
  const { items, nextCursor } = view.page;
  return {
    title: 'Offerings',
    section: 'offerings',
    main: html`<div class="intro">
        <h1>Rent a server, log in by SSH</h1>
        <p class="lead">
          Pick one, pay for the hours you want, and get the exact <code>ssh</code> command. Cancel whenever
          you like: the unused time is refunded.
        </p>
      </div>
      ${(items.length > 0 || isNarrowed(view.fields)) && renderFilter(view)}
      ${
        items.length === 0
          ? renderNone(view)
          : html`<ul class="offerings">
              ${items.map(renderOffering)}
            </ul>`
      }
      ${
        nextCursor !== null &&
        html`<p class="more">
          <a class="button" href="/${nextPageQuery(view.fields, nextCursor)}">More offerings</a>
        </p>`
      }`,
  };
}

/** What is said of the stock. */
export const STOCK_TEXT: Readonly<Record<Stock, string>> = {
  available: 'In stock',
  sold_out: 'Sold out',
  draining: 'In maintenance',
  paused: 'Nothing is sold now',
  offline: 'Provider offline',
};

/** How an offering's stock is shown. */
export function renderStock(stock: Stock): Html {
  return html`<span class="badge ${stock === 'available' ? 'good' : 'over'}">${STOCK_TEXT[stock]}</span>`;
}

/** The size of an instance in words. */
export function renderSpecs(offering: Pick<ShownOffering, 'cpu' | 'memory_mb' | 'disk_gb'>): Html {
  return html`<ul class="specs" aria-label="Size">
    <li><b>${offering.cpu}</b> vCPU</li>
    <li><b>${memoryText(offering.memory_mb)}</b> memory</li>
    <li><b>${offering.disk_gb} GB</b> disk</li>
  </ul>`;
}

/** One offering of a list. */
export function renderOffering(offering: ShownOffering): Html {
  const hasFee = offering.setup_fee.amount_e9s !== '0';
  const usage = usagePriceText(offering);
  return html`<li>
    <article class="offering" aria-labelledby="offering-${offering.id}">
      <div class="offering-name">
        <h2 id="offering-${offering.id}"><a href="/offerings/${offering.id}">${offering.title}</a></h2>
        <p class="quiet">
          <a href="/providers/${offering.provider.pubkey}">${offering.provider.name}</a> ·
          ${countryText(offering.country)}
        </p>
        ${renderStock(offering.stock)}
      </div>
      <div class="offering-size">
        ${renderSpecs(offering)}
        <p class="quiet">${offering.operating_systems.join(', ')}</p>
        <p class="quiet">for ${hoursText(offering.min_hours)} to ${hoursText(offering.max_hours)}</p>
      </div>
      <div class="offering-price">
        <p class="price"><b>${moneyText(offering.price_per_hour)}</b> <span class="quiet">an hour</span></p>
        <p class="quiet">${timePriceText(offering, MONTH_HOURS)} a month (${MONTH_HOURS} h)</p>
        ${hasFee && html`<p class="quiet">plus ${moneyText(offering.setup_fee)} once</p>`}
        ${usage !== null && html`<p class="quiet">plus ${usage}</p>`}
      </div>
      <a
        class="button ${offering.stock === 'available' ? 'primary' : ''}"
        href="/offerings/${offering.id}"
        aria-label="${offering.stock === 'available' ? 'Rent' : 'Details of'} ${offering.title}"
        >${offering.stock === 'available' ? 'Rent' : 'Details'}</a
      >
    </article>
  </li>`;
}

function renderFilter({ fields, problems, countries }: OfferingsView): Html {
  const hasMore = isNarrowed({ ...fields, q: '' });
  return html`<form class="filter" method="get" action="/" role="search" aria-label="Offerings">
    <div class="filter-main">
      <label for="q">Search</label>
      <input
        id="q"
        name="q"
        type="search"
        value="${fields.q}"
        maxlength="100"
        placeholder="Name or provider"
      />
      <button class="button">Show</button>
    </div>
    <details ${hasMore && html`open`}>
      <summary>Filter</summary>
      <div class="filter-fields">
        ${renderField('country', 'Country', problems.country, countrySelect(fields.country, countries))}
        ${renderField('min_cpu', 'vCPU, at least', problems.min_cpu, numberInput('min_cpu', fields.min_cpu, problems.min_cpu))}
        ${renderField('min_memory_mb', 'Memory, at least', problems.min_memory_mb, memorySelect(fields.min_memory_mb))}
        ${renderField('max_price', 'Price an hour, at most', problems.max_price, numberInput('max_price', fields.max_price, problems.max_price))}
        <label class="check"
          ><input
            type="checkbox"
            name="in_stock"
            value="true"
            ${fields.in_stock === 'true' && html`checked`}
          />
          In stock only</label
        >
      </div>
    </details>
  </form>`;
}

function renderField(id: string, label: string, problem: string | undefined, control: Html): Html {
  return html`<div class="field">
    <label for="${id}">${label}</label>${control}${
      problem !== undefined && html`<p class="problem" id="${id}-problem">${problem} It was left out.</p>`
    }
  </div>`;
}

function numberInput(name: string, value: string, problem: string | undefined): Html {
  return html`<input
    id="${name}"
    name="${name}"
    value="${value}"
    inputmode="decimal"
    autocomplete="off"
    ${problem !== undefined && html`aria-invalid="true" aria-describedby="${name}-problem"`}
  />`;
}

function countrySelect(chosen: string, countries: readonly string[]): Html {
  const codes = chosen === '' || countries.includes(chosen) ? countries : [...countries, chosen];
  const options = codes.map((code) => ({ value: code, label: countryText(code) }));
  return select('country', chosen, [{ value: '', label: 'Any' }, ...options]);
}

const MEMORY_CHOICES_MB = [1024, 2048, 4096, 8192, 16_384, 32_768];

function memorySelect(chosen: string): Html {
  const sizes = MEMORY_CHOICES_MB.map((size) => ({ value: String(size), label: memoryText(size) }));
  const isOther = /^[0-9]{1,9}$/.test(chosen) && !sizes.some(({ value }) => value === chosen);
  const other = isOther ? [{ value: chosen, label: memoryText(Number(chosen)) }] : [];
  return select('min_memory_mb', chosen, [{ value: '', label: 'Any' }, ...sizes, ...other]);
}

function select(name: string, chosen: string, options: readonly { value: string; label: string }[]): Html {
  return html`<select id="${name}" name="${name}">
    ${options.map(
      ({ value, label }) =>
        html`<option value="${value}" ${value === chosen && html`selected`}>${label}</option>`,
    )}
  </select>`;
}

function renderNone({ fields }: OfferingsView): Html {
  if (isNarrowed(fields)) {
    return html`<div class="empty">
      <h2>Nothing fits this filter</h2>
      <p><a href="/">Show all offerings</a></p>
    </div>`;
  }
  return html`<div class="empty">
    <h2>No offerings yet</h2>
    <p>Nobody offers a server here at the moment. As soon as a provider does, it stands on this page.</p>
    <h3>You have machines?</h3>
    <ol>
      <li><code>dc-agent provider register</code> makes you a provider here.</li>
      <li><code>dc-agent provider offer</code> says what you rent out, and for how much.</li>
      <li>
        <code>dc-agent provider token</code> makes a setup token; <code>dc-agent setup token</code> takes it
        on your machine.
      </li>
      <li><code>dc-agent doctor</code> checks everything, and <code>dc-agent run</code> starts.</li>
    </ol>
  </div>`;
}
