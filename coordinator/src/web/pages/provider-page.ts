/** What everyone may see of a provider: agents, evidence with its gaps and forks, offerings. No score without data. */
import type { WireProvider } from '@dc/shared/wire/offering';
import type { WireAttention, WireUptime } from '@dc/shared/wire/trust';
import { durationText, timeElement } from '../format.ts';
import { html, type Html } from '../html.ts';
import type { ShownOffering } from '../web-data.ts';
import { renderAttention } from './attention-part.ts';
import type { PageParts } from './layout.ts';
import { renderOffering } from './offerings-page.ts';

type Agent = WireProvider['agents'][number];

/** What the page shows. */
export interface ProviderPageView {
  provider: WireProvider;
  offerings: readonly ShownOffering[];
  uptime: WireUptime;
  /** For the provider itself and administrators; null for everybody else. */
  attention: WireAttention | null;
}

/** The provider's page. */
export function providerPage({ provider, offerings, uptime, attention }: ProviderPageView): PageParts {
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
      ${renderSafeMode(provider)} ${attention !== null && renderEarningsLink(provider)}
      ${attention !== null && renderAttention(attention, (key) => nameOf(provider, key))}
      <section class="card" aria-labelledby="agents-title">
        <h2 id="agents-title">Agents</h2>
        ${
          provider.agents.length === 0
            ? html`<p>No data yet: no agent has registered.</p>`
            : html`<ul class="agents">
                ${provider.agents.map((agent) => renderAgent(agent, uptime))}
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

/** For the provider itself and administrators. */
function renderEarningsLink({ pubkey }: WireProvider): Html {
  return html`<p class="actions">
    <a class="button" href="/providers/${pubkey}/statement">Earnings and payouts</a>
  </p>`;
}

/** That the site itself acts on nothing: it concerns everybody who looks. */
function renderSafeMode({ safe_mode: safeMode }: WireProvider): Html | null {
  if (safeMode === undefined) return null;
  return html`<p class="notice bad">
    <b>Nothing is sold, ended or paid here since ${timeElement(safeMode.since)}.</b> This site’s data may be
    older than what its providers have done; its operator compares them. Running servers go on.
  </p>`;
}

/** An agent by its label, or by the beginning of its key. */
function nameOf({ agents }: WireProvider, key: string): string {
  const label = agents.find(({ public_key }) => public_key === key)?.label ?? '';
  return label === '' ? `agent ${key.slice(0, 6)}` : label;
}

function renderAgent(agent: Agent, uptime: WireUptime): Html {
  const { evidence } = agent;
  return html`<li>
    <div>
      <b>${agent.label === '' ? `Agent ${agent.public_key.slice(0, 6)}` : agent.label}</b>
      <span class="badge ${agent.online ? 'good' : 'over'}">${agent.online ? 'Online' : 'Offline'}</span>
      ${renderAnnounced(agent)}
    </div>
    ${renderUptime(uptime.agents.find(({ public_key }) => public_key === agent.public_key))}
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
      agent.unknown_contracts !== undefined &&
      html`<p class="notice">
        It holds ${agent.unknown_contracts} ${agent.unknown_contracts === 1 ? 'contract' : 'contracts'} that
        this site does not know any more. Nothing is done about them.
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

function renderAnnounced({ draining, maintenance_until: until, online, healthy }: Agent): Html | null {
  if (online && healthy === false) return html`<span class="badge bad">Its backend does not work</span>`;
  if (until != null) return html`<span class="badge wait">Maintenance until ${timeElement(until)}</span>`;
  return draining === true ? html`<span class="badge wait">Takes no new contracts</span>` : null;
}

/** Of the last 30 days, and of as much of them as is known. */
function renderUptime(agent: WireUptime['agents'][number] | undefined): Html | null {
  if (agent === undefined) return null;
  if (agent.uptime === null || agent.since === null) return html`<p>Uptime: no data yet.</p>`;
  const percent = (Math.floor(agent.uptime * 10_000) / 100).toFixed(2);
  const announced =
    agent.maintenance_ms > 0 && html`, besides ${durationText(agent.maintenance_ms)} of maintenance`;
  return html`<p>
      Uptime <b>${percent} %</b> since
      ${timeElement(agent.since)}${
        agent.outage_ms > 0 && html`, ${durationText(agent.outage_ms)} away`
      }${announced}
    </p>
    ${agent.maintenance.length > 0 && renderMaintenance(agent.maintenance)}`;
}

function renderMaintenance(maintenance: WireUptime['agents'][number]['maintenance']): Html {
  return html`<details>
    <summary>Announced maintenance</summary>
    <ul>
      ${maintenance.map(
        ({ from, to, kind, record_seq: seq }) =>
          html`<li>
            ${kind === 'draining' ? 'No new contracts' : 'Maintenance'} from ${timeElement(from)}
            ${to === null ? 'on' : html`until ${timeElement(to)}`}, by its record ${seq}
          </li>`,
      )}
    </ul>
  </details>`;
}
