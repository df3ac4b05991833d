/** What only the provider (and an administrator) sees on its page: what does not go on, and why. */
import { attemptCells, explanationRows, type WireExplanation } from '@dc/shared/wire/explanation';
import type { WireAttention } from '@dc/shared/wire/trust';
import { timeElement } from '../format.ts';
import { html, type Html } from '../html.ts';

/** Names an agent by its key. */
export type NameAgent = (publicKey: string) => string;

/** The section; says so where there is nothing to look at. */
export function renderAttention(attention: WireAttention, nameOf: NameAgent): Html {
  const parts = [
    ...attention.destruction_paused.map(
      ({ agent, waiting, since, command }) =>
        html`<div class="notice bad">
          <b>${waiting} ${waiting === 1 ? 'release waits' : 'releases wait'} for you</b> on ${nameOf(agent)},
          the first since ${timeElement(since)}: more instances than usual were to be destroyed within an
          hour. Check that these contracts have really ended, then run <code>${command}</code> there.
        </div>`,
    ),
    ...attention.unserved_offerings.map(
      ({ id, title, out_of_stock: why }) =>
        html`<div class="notice bad">
          <b><a href="/offerings/${id}">${title}</a> cannot be rented.</b> ${WHY_UNSERVED[why] ?? why}
        </div>`,
    ),
    ...attention.unserved_contracts.map(
      ({ id, since, detail }) =>
        html`<div class="notice">
          <b>Nobody took <a href="/contracts/${id}">a paid order</a></b
          >, ${timeElement(since)}. ${detail}
        </div>`,
    ),
    ...attention.blocked.map(({ agent, said_at: at, explanation }) =>
      renderBlocked(explanation, html`${nameOf(agent)}, ${timeElement(at)}`),
    ),
    ...attention.orphans.map(
      ({ agent, total, command, instances }) =>
        html`<details class="orphans">
          <summary>
            ${total} ${total === 1 ? 'instance' : 'instances'} at ${nameOf(agent)} without an order
          </summary>
          <p>They carry your seal, and the agent leaves them alone. See <code>${command}</code> there.</p>
          <ul>
            ${instances.map(
              (one) => html`<li><code>${one.id}</code>, seen since ${timeElement(one.first_seen_at)}</li>`,
            )}
          </ul>
        </details>`,
    ),
  ];
  return html`<section class="card" aria-labelledby="attention-title" id="attention">
    <h2 id="attention-title">For you to look at</h2>
    <p class="quiet">Only you and the administrators see this.</p>
    ${parts.length === 0 ? html`<p>Nothing: no contract waits for anything, and all that is offered can be rented.</p>` : parts}
  </section>`;
}

const WHY_UNSERVED: Readonly<Record<string, string>> = {
  no_capacity: 'No agent has stated room for it: see the agents’ backends.',
  draining:
    'Its agents take no new work. They do again after dc-agent drain --off or dc-agent maintenance end.',
  unhealthy: 'The backends of its agents do not work: run dc-agent doctor there.',
  offline: 'None of its agents is online: run dc-agent status there.',
};

/** The words of `dc-agent why`, row by row. */
function renderBlocked(explanation: WireExplanation, said: Html): Html {
  const { last_attempts: attempts } = explanation;
  return html`<article class="why">
    <h3>A contract does not go on</h3>
    <p class="quiet">Said by ${said}</p>
    <dl class="facts">
      ${explanationRows(explanation).map(
        ([name, text]) =>
          html`<div>
            <dt>${name}</dt>
            <dd>${text}</dd>
          </div>`,
      )}
    </dl>
    ${
      attempts.length > 0 &&
      html`<details>
        <summary>Last attempts</summary>
        <ul>
          ${attempts.map(
            (attempt) =>
              html`<li>
                ${attemptCells(attempt)
                  .filter((cell) => cell !== '')
                  .join(' · ')}
              </li>`,
          )}
        </ul>
      </details>`
    }
  </article>`;
}
