/** The page of one contract: renders its parts again whenever the contract changes. */
import type { WireContract } from '@dc/shared/wire/contract';
import { hasEnded, stateText } from '../contract-text.ts';
import { CONTRACT_PARTS } from '../pages/contract-parts.ts';
import type { Viewer } from '../pages/contract-parts.ts';
import { startCancelDialog } from './cancel-dialog.ts';
import { ContractFeed, type FeedState } from './contract-feed.ts';
import { startCredentials } from './credentials.ts';
import { announce, byId, revealScripted } from './dom.ts';
import { startExtendDialog } from './extend-dialog.ts';
import { identityFileOf } from './made-keys.ts';
import { startOperatorPanel } from './operator-panel.ts';
import { serverNow } from './server-time.ts';
import { localiseTimes } from './times.ts';

const root = byId('contract', HTMLElement);
let contract = JSON.parse(root.dataset['contract'] ?? '') as WireContract;
const viewer = root.dataset['viewer'] as Viewer;
const rendered = new Map<string, string>();

const FEED_TEXT: Readonly<Record<FeedState, string>> = {
  live: 'live',
  reconnecting: 'reconnecting…',
  stopped: 'final',
};

const feed = new ContractFeed(contract.id, {
  onContract: update,
  onState(state) {
    byId('live', HTMLElement).textContent = FEED_TEXT[state];
    byId('live', HTMLElement).className = `live ${state}`;
  },
  onSignedOut() {
    location.assign(`/login?next=/contracts/${contract.id}`);
  },
});

const showOperator =
  document.getElementById('operator') === null ? null : startOperatorPanel(contract.id, update);

const onCredentials =
  document.getElementById('password-dialog') === null ? null : startCredentials(contract.id, update);

render();
if (document.getElementById('extend-dialog') !== null) startExtendDialog(() => contract, update);
if (document.getElementById('cancel-dialog') !== null) startCancelDialog(contract.id, update);
if (isFinal()) feed.stop();
else feed.start();

/** Takes a newer state of the contract. */
function update(next: WireContract): void {
  if (next.version < contract.version) return;
  const hasMoved = next.state !== contract.state;
  onCredentials?.(next);
  contract = next;
  render();
  if (hasMoved) announce(stateText(contract.state).headline);
  if (isFinal()) feed.stop();
}

/** Renders the parts whose markup has changed, and leaves the others, with what is focused or open in them, alone. */
function render(): void {
  const view = { contract, now: serverNow(), viewer, identityFile: identityFileOf(contract.id) };
  showOperator?.(contract);
  for (const [id, renderPart] of Object.entries(CONTRACT_PARTS)) {
    const markup = String(renderPart(view) ?? '');
    if (withoutCounters(markup) === rendered.get(id)) continue;
    rendered.set(id, withoutCounters(markup));
    const part = byId(id, HTMLElement);
    const focused = part.contains(document.activeElement) ? document.activeElement?.id : undefined;
    const open = [...part.querySelectorAll('details')].map((details) => details.open);
    part.innerHTML = markup;
    part.querySelectorAll('details').forEach((details, index) => (details.open = open[index] ?? false));
    revealScripted(part);
    localiseTimes(part);
    if (focused !== undefined && focused !== '') document.getElementById(focused)?.focus();
  }
}

/** The markup without what ticks, which times.ts writes. */
function withoutCounters(markup: string): string {
  return markup.replace(/(data-(?:since|until)="[^"]*"\s*>)[^<]*/g, '$1');
}

/** True once nothing can change any more: ended, the money is back, the instance is gone. */
function isFinal(): boolean {
  const isPaidBack = contract.refunded === null || contract.payment.status.endsWith('refunded');
  return hasEnded(contract) && contract.release !== 'pending' && isPaidBack;
}
