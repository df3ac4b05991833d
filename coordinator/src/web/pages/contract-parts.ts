/**
 * The parts of a contract's page that change while one looks at it. The server renders them first, and the browser
 * renders them again with the same functions when the contract changes. Pure.
 *
 * What ticks is marked for the browser: `data-since` counts up from a time, `data-until` counts down to one.
 */
import type { WireAccess, WireContract } from '@dc/shared/wire/contract';
import {
  actorText,
  hasEnded,
  moneyOutcome,
  releaseText,
  STAGES,
  stateText,
  verifiedText,
} from '../contract-text.ts';
import { durationText, shortDurationText, hoursText, moneyText, timeElement } from '../format.ts';
import { html, httpUrl, type Html } from '../html.ts';
import { renderCredentials } from './credential-parts.ts';
import { renderExtending } from './extending-parts.ts';

/** Who looks at the contract: what they may do differs. */
export type Viewer = 'renter' | 'provider' | 'admin';

/** What the parts are rendered from. */
export interface ContractView {
  viewer: Viewer;
  contract: WireContract;
  /** Server time, in milliseconds. */
  now: number;
  /** The private key file to name in the command; null for ssh's own choice. Known to the browser only. */
  identityFile: string | null;
}

/** The parts in the order of the page, each by the id of the element that it fills. */
export const CONTRACT_PARTS: Readonly<Record<string, (view: ContractView) => Html | null>> = {
  'part-status': renderStatus,
  'part-access': renderAccess,
  'part-credentials': renderCredentials,
  'part-stages': renderStages,
  'part-terms': renderTerms,
  'part-history': renderHistory,
};

function renderStatus({ contract }: ContractView): Html {
  const text = stateText(contract.state);
  const money = moneyOutcome(contract, contract.refunded === null ? null : moneyText(contract.refunded));
  const release = releaseText(contract);
  return html`<div class="state ${text.tone}">
    <h2><span class="dot" aria-hidden="true"></span>${text.headline}</h2>
    <p>${text.meaning}</p>
    ${
      contract.last_error !== null &&
      html`<div class="notice bad">
        <p><b>${contract.last_error.detail}</b></p>
        <p>${contract.last_error.remedy}</p>
        <p class="quiet">Code ${contract.last_error.code}</p>
      </div>`
    }
    ${
      contract.notice != null &&
      html`<div class="notice" id="announcement">
        <p><b>${contract.notice.detail}</b></p>
        ${contract.notice.until !== null && html`<p>Announced until ${timeElement(contract.notice.until)}.</p>`}
      </div>`
    }
    ${renderRefundApproval(contract)} ${renderCheckout(contract)}
    ${money !== null && html`<p class="outcome">${money}</p>`} ${release !== null && html`<p>${release}</p>`}
    ${hasEnded(contract) && html`<p class="actions"><a class="button" href="/">Rent another</a></p>`}
  </div>`;
}

/** A refund that does not leave by itself: since when it waits, or where its money is instead, and why. */
function renderRefundApproval({ refund_approval: approval }: WireContract): Html | null {
  if (approval == null) return null;
  if (approval.status === 'waiting')
    return html`<p class="notice">
      <b>${moneyText(approval.amount)} of your refund waits for approval</b> since
      ${timeElement(approval.since)}: refunds of this size are looked at by the operator of this site. It is
      yours meanwhile.
    </p>`;
  return html`<p class="notice">
    <b>${moneyText(approval.amount)} went into your <a href="/wallet">wallet</a></b> and not back the way you
    paid: the operator of this site did not approve that.
    ${approval.reason !== null && html`Their reason: ${approval.reason}`}
  </p>`;
}

/** Where the contract, and time that was asked for, can be paid. */
function renderCheckout({ payment, extensions = [] }: WireContract): Html | null {
  const open = [
    { url: httpUrl(payment.checkout_url), label: 'Pay now' },
    ...extensions.map(({ hours, checkout_url }) => ({
      url: httpUrl(checkout_url ?? null),
      label: `Pay for ${hoursText(hours)} more`,
    })),
  ].filter(({ url }) => url !== null);
  if (open.length === 0) return null;
  return html`<p class="actions">
    ${open.map(({ url, label }) => html`<a class="button primary" href="${url ?? ''}">${label}</a>`)}
  </p>`;
}

function renderStages({ contract, now }: ContractView): Html {
  const isOver = hasEnded(contract);
  const isActive = contract.active_at !== null;
  const stages = STAGES.map(({ name, label }) => {
    const stage = contract.stages.find((candidate) => candidate.name === name);
    if (stage === undefined) return { label, state: isOver ? 'skipped' : 'next', time: null };
    if (stage.duration_ms !== null) {
      const isLast = isOver && !isActive && stage === contract.stages.at(-1);
      return {
        label,
        state: isLast ? 'stopped' : 'done',
        time: html`${shortDurationText(stage.duration_ms)}`,
      };
    }
    const elapsed = durationText(now - Date.parse(stage.started_at));
    return { label, state: 'running', time: html`<span data-since="${stage.started_at}">${elapsed}</span>` };
  });
  const total = isActive && Date.parse(contract.active_at ?? '') - Date.parse(contract.created_at);
  return html`<section class="card" aria-labelledby="stages-title">
    <h2 id="stages-title">From order to login</h2>
    <ol class="stages">
      ${stages.map(
        ({ label, state, time }) =>
          html`<li class="${state}" ${state === 'running' && html`aria-current="step"`}>
            <span class="mark" aria-hidden="true"></span><span>${label}</span>
            <span class="visually-hidden">${STAGE_STATE_TEXT[state]}</span><span class="time">${time}</span>
          </li>`,
      )}
      ${
        total !== false &&
        html`<li class="sum-line">
          <span>Together</span><span class="time">${shortDurationText(total)}</span>
        </li>`
      }
    </ol>
  </section>`;
}

const STAGE_STATE_TEXT: Readonly<Record<string, string>> = {
  done: 'done',
  running: 'running',
  next: 'to come',
  stopped: 'ended here',
  skipped: 'not reached',
};

function renderAccess({ contract, identityFile }: ContractView): Html | null {
  const { access, state } = contract;
  if (access === null || hasEnded(contract) || state === 'provisioned') return null;
  const webUrl = httpUrl(access.web_url);
  const verified = verifiedText(contract);
  return html`<section class="card" aria-labelledby="access-title">
    <h2 id="access-title">Log in</h2>
    ${renderCopyLine('ssh-command', 'The ssh command', sshCommand(access, identityFile))}
    <dl class="facts">
      <div>
        <dt>Host key fingerprint</dt>
        <dd><code class="wrap" id="fingerprint">${access.host_key_fingerprint}</code></dd>
      </div>
      ${
        webUrl !== null &&
        html`<div>
          <dt>Web</dt>
          <dd><a href="${webUrl}" rel="noreferrer">${webUrl}</a></dd>
        </div>`
      }
    </dl>
    <p>
      The first time, <code>ssh</code> asks whether you trust this host. Say yes only if it shows this
      fingerprint.
    </p>
    ${verified !== null && html`<p class="quiet">${verified}</p>`}
    <details>
      <summary>Trust the host key without being asked</summary>
      <p>This adds the host key to your list of known hosts:</p>
      ${renderCopyLine('known-hosts-command', 'The command for known_hosts', knownHostsCommand(access))}
    </details>
  </section>`;
}

/** The command to log in, with the private key file to use. */
export function sshCommand(access: WireAccess, identityFile: string | null): string {
  return identityFile === null
    ? access.ssh_command
    : access.ssh_command.replace(/^ssh /, `ssh -i ${identityFile} `);
}

/** The host and its key as a line of a known_hosts file. */
export function knownHostsLine({ host, port, host_key }: WireAccess): string {
  return `${port === 22 ? host : `[${host}]:${port}`} ${host_key}`;
}

function knownHostsCommand(access: WireAccess): string {
  return `mkdir -p ~/.ssh && echo '${knownHostsLine(access)}' >> ~/.ssh/known_hosts`;
}

/** A command with a button that copies it. */
export function renderCopyLine(id: string, label: string, text: string): Html {
  return html`<div class="terminal">
    <code id="${id}" tabindex="0" role="textbox" aria-readonly="true" aria-label="${label}">${text}</code
    ><button type="button" class="button" id="${id}-copy" data-copy="${id}" aria-label="Copy: ${label}">
      Copy
    </button>
  </div>`;
}

function renderTerms(view: ContractView): Html {
  const { contract, now, viewer } = view;
  const isRunning = contract.state === 'active' && contract.ends_at !== null;
  const fact = (term: string, value: Html | string | null) =>
    value !== null &&
    html`<div>
      <dt>${term}</dt>
      <dd>${value}</dd>
    </div>`;
  return html`<section class="card" aria-labelledby="terms-title">
    <h2 id="terms-title">Time and money</h2>
    ${
      isRunning &&
      html`<p class="countdown">
        <b data-until="${contract.ends_at ?? ''}"
          >${durationText(Date.parse(contract.ends_at ?? '') - now)}</b
        >
        left
      </p>`
    }
    <dl class="facts">
      ${fact('Rented for', hoursText(contract.duration_hours))}
      ${fact('Started', contract.active_at === null ? null : timeElement(contract.active_at))}
      ${fact('Ends', !isRunning || contract.ends_at === null ? null : timeElement(contract.ends_at))}
      ${fact('Ended', contract.ended_at === null ? null : timeElement(contract.ended_at))}
      ${fact(contract.paid_at === null ? 'Price' : 'Paid', html`<b>${moneyText(contract.total)}</b>`)}
      ${fact('Payment', contract.payment.method === 'test' ? 'Test: no real money' : contract.payment.method)}
      ${fact('In tokens', tokenPriceText(contract))}
      ${fact('Refunded', contract.refunded === null ? null : moneyText(contract.refunded))}
      ${fact('Statement', contract.paid_at === null ? null : statementLink(contract.id))}
      ${fact('Invoices', contract.paid_at === null || viewer !== 'renter' ? null : invoicesLink(contract.id))}
      ${fact('System', contract.operating_system)}
    </dl>
    ${renderExtending(view)}
    ${
      contract.refund_if_cancelled_now !== null &&
      viewer !== 'provider' &&
      html`<p class="actions">
        <button type="button" class="button danger" id="cancel-open" data-script hidden>
          Cancel contract…
        </button>
        <span class="quiet">You see the exact refund before you confirm.</span>
      </p>`
    }
  </section>`;
}

/** `0.2 ICP, at 5.00 USD (coinbase, kraken)`: the rate is that of the moment at which the payment was asked for. */
function tokenPriceText({
  payment: { token_price: price },
  total: { currency },
}: WireContract): string | null {
  if (price === undefined) return null;
  const { token, amount_e9s, rate_e9s, sources } = price;
  const rate = moneyText({ amount_e9s: rate_e9s, currency });
  return `${moneyText({ amount_e9s, currency: token })}, at ${rate} (${sources.map(({ source }) => source).join(', ')})`;
}

/** Where the money is: releases and credits, each with the records that prove it. */
const statementLink = (id: string): Html =>
  html`<a href="/api/v1/contracts/${id}/statement">releases, credits and their evidence</a>`;

const invoicesLink = (id: string): Html =>
  html`<a href="/invoices?contract=${id}">invoice and credit notes</a>`;

function renderHistory({ contract }: ContractView): Html {
  return html`<details>
    <summary>History</summary>
    <ol class="history">
      ${contract.timeline.map(
        ({ at, to, actor, reason }) =>
          html`<li>
            ${timeElement(at)}
            <p>
              <b>${stateText(to as WireContract['state'])?.label ?? to}</b>
              <span class="quiet">${actorText(actor)}</span>
            </p>
            <p>${reason}</p>
          </li>`,
      )}
    </ol>
  </details>`;
}
