/** One contract: the parts that change, inside a frame that stays, and the dialog that cancels. */
import type { WireContract } from '@dc/shared/wire/contract';
import type { WireUsage } from '@dc/shared/wire/usage';
import { html, type Html } from '../html.ts';
import { CONTRACT_PARTS, type ContractView, type Viewer } from './contract-parts.ts';
import { renderCredentialDialogs } from './credential-parts.ts';
import { renderExtendDialog, renderOperatorPanel } from './extending-parts.ts';
import type { PageParts } from './layout.ts';
import { renderUsage } from './usage-parts.ts';

/** What the page shows. */
export interface ContractPageView {
  contract: WireContract;
  providerName: string;
  usage: WireUsage | null;
  viewer: Viewer;
  now: number;
}

/** The page of one contract. */
export function contractPage({ contract, providerName, usage, viewer, now }: ContractPageView): PageParts {
  const view = { contract, now, viewer, identityFile: null };
  return {
    title: contract.offering_title,
    section: 'contracts',
    script: 'contract',
    main: html`<p class="crumbs"><a href="/contracts">My contracts</a></p>
      <h1>${contract.offering_title}</h1>
      <p class="quiet">
        from <a href="/providers/${contract.provider_pubkey}">${providerName}</a> ·
        <span id="live" data-script hidden>connecting…</span>
        <noscript>Load this page again to see what has changed.</noscript>
      </p>
      <div id="contract" data-contract="${JSON.stringify(contract)}" data-viewer="${viewer}">
        <div class="contract-main">${MAIN_PARTS.map((id) => renderPart(id, view))} ${renderUsage(usage)}</div>
        <div class="contract-side">${SIDE_PARTS.map((id) => renderPart(id, view))}</div>
      </div>
      ${viewer === 'admin' && renderOperatorPanel()}
      ${contract.refund_if_cancelled_now !== null && renderCancelDialog()}
      ${viewer === 'renter' && contract.ended_at === null && renderExtendDialog()}
      ${viewer === 'renter' && contract.ended_at === null && renderCredentialDialogs()}`,
  };
}

// On a wide screen the parts stand in two columns.
const MAIN_PARTS = ['part-status', 'part-access', 'part-credentials', 'part-stages'];
const SIDE_PARTS = ['part-terms', 'part-history'];

function renderPart(id: string, view: ContractView): Html {
  return html`<div id="${id}" class="part" tabindex="-1">${CONTRACT_PARTS[id]?.(view)}</div>`;
}

function renderCancelDialog(): Html {
  return html`<dialog id="cancel-dialog" aria-labelledby="cancel-title">
    <h2 id="cancel-title">Cancel this contract?</h2>
    <p>The instance and everything on it is deleted. The paid time stops at this moment.</p>
    <p class="refund">You get back <output id="cancel-refund">…</output></p>
    <p class="quiet" id="cancel-note">of <span id="cancel-total"></span> paid</p>
    <p class="problem" id="cancel-problem" role="alert"></p>
    <div class="actions">
      <button type="button" class="button" id="cancel-close" autofocus>Keep it</button>
      <button type="button" class="button danger" id="cancel-confirm" disabled>Cancel it and refund</button>
    </div>
  </dialog>`;
}
