/** What everyone may see of a provider: agents, evidence with its gaps and forks, offerings. No score without data. */
import type { WireProvider } from '@dc/shared/wire/offering';
import { timeElement } from '../format.ts';
import { html, type Html } from '../html.ts';
import type { ShownOffering } from '../web-data.ts';
import type { PageParts } from './layout.ts';
import { renderOffering } from './offerings-page.ts';

type Agent = WireProvider['agents'][number];

/** The provider's page. */
export function providerPage(provider: WireProvider, offerings: readonly ShownOffering[]): PageParts {
  const records = provider.agents.reduce((sum, { evidence }) => sum + evidence.records, 0);
  return {
    title: provider.name,
    section: 'offerings',
    main: html`<p class="crumbs"><a href="/">Offerings</a></p>
      <h1>${provider.name}</h1>
      <p class="quiet">
        Provider since ${timeElement(provider.created_at)} ·
        ${provider.auto_accept ? 'takes paid orders by itself' : 'decides on each paid order by hand'}
      </p>
      <section class="card" aria-labelledby="agents-title">
        <h2 id="agents-title">Agents</h2>
        ${
          provider.agents.length === 0
            ? html`<p>No data yet: no agent has registered.</p>`
            : html`<ul class="agents">
                ${provider.agents.map(renderAgent)}
              </ul>`
        }
      </section>
      <section class="card" aria-labelledby="evidence-title">
        <h2 id="evidence-title">Evidence</h2>
        <p>
          Everything an agent reports is a signed record, chained to the one before. Anyone can check the
          chain, also without this coordinator.
        </p>
        ${
          records === 0
            ? html`<p>No data yet: no record has come in.</p>`
            : html`<p>
                  <b>${records}</b> ${records === 1 ? 'record' : 'records'} from ${provider.agents.length}
                  ${provider.agents.length === 1 ? 'agent' : 'agents'}.
                </p>
                <p class="actions">
                  <a
                    class="button"
                    href="/api/v1/providers/${provider.pubkey}/evidence"
                    download="evidence.jsonl"
                    >Download the evidence</a
                  >
                  <span class="quiet"
                    >Check it with <code>dc-agent verify-evidence evidence.jsonl</code></span
                  >
                </p>`
        }
      </section>
      <section aria-labelledby="offerings-title">
        <h2 id="offerings-title">Offerings</h2>
        ${
          offerings.length === 0
            ? html`<p>None at the moment.</p>`
            : html`<ul class="offerings">
                ${offerings.map(renderOffering)}
              </ul>`
        }
      </section>
      <details>
        <summary>Public key</summary>
        <code class="wrap">${provider.pubkey}</code>
      </details>`,
  };
}

function renderAgent(agent: Agent): Html {
  const { evidence } = agent;
  return html`<li>
    <div>
      <b>${agent.label === '' ? `Agent ${agent.public_key.slice(0, 6)}` : agent.label}</b>
      <span class="badge ${agent.online ? 'good' : 'over'}">${agent.online ? 'Online' : 'Offline'}</span>
    </div>
    <p class="quiet">
      ${agent.last_heartbeat_at === null ? 'Never heard from' : html`Last heard from ${timeElement(agent.last_heartbeat_at)}`}${agent.version !== null && ` · version ${agent.version}`}
      ·
      ${evidence.records === 0 ? 'no records yet' : `${evidence.records} ${evidence.records === 1 ? 'record' : 'records'}`}
    </p>
    ${
      evidence.gap_from_seq !== null &&
      html`<p class="notice bad">
        <b>A gap.</b> Records are missing from number ${evidence.gap_from_seq} on: what happened then is not
        known.
      </p>`
    }
    ${
      evidence.fork_at_seq !== null &&
      html`<p class="notice bad">
        <b>A fork.</b> There are two different records with number ${evidence.fork_at_seq}: two programs used
        this agent’s key, or its history was rewritten.
      </p>`
    }
  </li>`;
}
