/**
 * Everything that the doctor looks at, in the order in which one thing makes the next possible. No check changes
 * anything here or at the coordinator, all of them work beside a running agent, and what is made at the backend to try
 * something is destroyed again.
 */
import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '@dc/shared/clock';
import { verifyDelegation, type Delegation } from '@dc/shared/delegation/delegation';
import { AppError } from '@dc/shared/errors';
import type { Random } from '@dc/shared/random';
import { followRotations } from '@dc/shared/key-rotation/key-rotation';
import { SKEW_MAX_S } from '@dc/shared/signing/verify-request';
import type { Config } from '../config/config-schema.ts';
import { loadKeys, type AgentKeys } from '../config/key-files.ts';
import { loadConfig } from '../config/load-config.ts';
import { DELEGATION_FILE, GRANT_FILE, journalFile } from '../config/paths.ts';
import { Registrar } from '../coordinator-client/registrar.ts';
import { openJournalReader } from '../journal/open-journal.ts';
import { renderDuration } from '../lib/render-table.ts';
import { assertBackendHealthy } from '../setup/check-backend.ts';
import { isProcessAlive, readStatus, type StatusReport } from '../status/read-status.ts';
import type { Check, Finding } from '../lib/check.ts';
import { backendChecks } from './backend-checks.ts';
import type { CheckGroup } from './check.ts';
import { describeDeliveries } from './delivery-times.ts';

/** Time enough to make a new setup token on a working day. */
const EXPIRY_WARNING_MS = 14 * 86_400_000;
/** Orders are good for five minutes: a clock that is a minute off still works, and gets worse. */
const SKEW_WARNING_MS = 5_000;
/** An outbox that has not moved for this long does not move by itself. */
const OUTBOX_WARNING_MS = 600_000;

export interface DoctorParts {
  readonly configFile: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Whether something may be made at the backend, to be destroyed at once. */
  readonly mayProbe: boolean;
  /** The operator wants no more. */
  readonly signal: AbortSignal;
}

/** What earlier checks have found, for later ones. */
export class Findings {
  config: Config | null = null;
  keys: AgentKeys | null = null;
  status: StatusReport | null = null;
}

/** The checks. */
export function doctorChecks(parts: DoctorParts): (Check | CheckGroup)[] {
  const found = new Findings();
  return [
    { name: 'configuration', run: () => checkConfiguration(parts, found) },
    { name: 'keys', run: async () => checkKeys(found) },
    { name: 'disk', run: async () => checkDisk(found) },
    { name: 'journal', run: async () => checkJournal(parts, found) },
    { name: 'agent', run: async () => checkAgent(found) },
    { name: 'delegation', run: async () => checkDelegation(parts, found) },
    { name: 'pinned keys', run: async () => checkPinnedKeys(parts, found) },
    { name: 'coordinator', run: () => checkCoordinator(parts, found) },
    { name: 'backend', run: () => checkBackend(parts, found) },
    { name: 'backend checks', open: () => backendChecks(parts, found) },
    { name: 'deliveries', run: async () => checkDeliveries(found) },
    { name: 'releases', run: async () => checkReleases(parts, found) },
    { name: 'orphans', run: async () => checkOrphans(found) },
    { name: 'outbox', run: async () => checkOutbox(parts, found) },
  ];
}

const skipped = (detail: string): Finding => ({ severity: 'skipped', detail });
const NO_CONFIG = skipped('Not looked at: the configuration does not load.');
const NO_KEYS = skipped('Not looked at: the keys do not load.');

async function checkConfiguration({ configFile }: DoctorParts, found: Findings): Promise<Finding> {
  found.config = await loadConfig(configFile);
  return `${configFile} is valid.`;
}

function checkKeys(found: Findings): Finding {
  if (found.config === null) return NO_CONFIG;
  found.keys = loadKeys(found.config.keyDir);
  return `The agent's key is ${found.keys.agentKey.publicKey}; nobody else can read it.`;
}

function checkDisk({ config }: Findings): Finding {
  if (config === null) return NO_CONFIG;
  if (!existsSync(config.stateDir)) return skipped(`${config.stateDir} is made when the agent first runs.`);
  const { bavail, bsize } = statfsSync(config.stateDir);
  const freeMb = Math.floor((bavail * bsize) / 1_000_000);
  if (bavail * bsize >= config.limits.diskFreeBytes) return `${freeMb} MB are free for the journal.`;
  return {
    severity: 'warning',
    detail: `Only ${freeMb} MB are free in ${config.stateDir}; new instances are declined.`,
    remedy: 'Free some space on this disk, or lower limits.disk_free_mb.',
  };
}

function checkJournal({ clock }: DoctorParts, found: Findings): Finding {
  if (found.config === null) return NO_CONFIG;
  const file = journalFile(found.config.stateDir);
  if (!existsSync(file)) return skipped('There is no journal yet: it is made when the agent first runs.');
  const journal = openJournalReader(file);
  try {
    found.status = readStatus(journal, clock.now(), isProcessAlive, {
      coordinatorKeys: found.config.coordinator.publicKeys,
      environment: found.config.environment,
    });
    const { length } = found.status.instances;
    return `The journal can be read; it answers for ${length} ${length === 1 ? 'instance' : 'instances'}.`;
  } finally {
    journal.close();
  }
}

function checkAgent({ status }: Findings): Finding {
  if (status === null) return skipped('Not looked at: there is no journal.');
  if (status.running) return `It runs with pid ${status.process?.pid ?? 0}.`;
  const why = status.stopped_because;
  if (why !== null) throw new AppError('COMMAND_FAILED', `It ended itself: ${why.detail} [${why.code}]`, why);
  return { severity: 'warning', detail: 'It does not run.', remedy: 'Start it: systemctl start dc-agent' };
}

/** How long the last rentals took, from the order to the login. */
function checkDeliveries({ config }: Findings): Finding {
  if (config === null) return NO_CONFIG;
  const file = journalFile(config.stateDir);
  if (!existsSync(file)) return skipped('There is no journal yet.');
  const journal = openJournalReader(file);
  try {
    return describeDeliveries(journal);
  } finally {
    journal.close();
  }
}

/** What the provider has lent this agent, checked against what is configured, without asking anybody. */
function checkDelegation({ clock }: DoctorParts, { config, keys }: Findings): Finding {
  if (config === null) return NO_CONFIG;
  if (keys === null) return NO_KEYS;
  const delegation = readDelegation(config.keyDir);
  if (delegation === null) return skipped(`There is no ${DELEGATION_FILE} in ${config.keyDir}.`);
  const fits =
    delegation.agentKey === keys.agentKey.publicKey &&
    delegation.providerKey === config.providerKey &&
    delegation.poolId === config.poolId &&
    config.coordinator.publicKeys.includes(delegation.coordinatorKey);
  if (!fits) {
    throw new AppError('GRANT_INVALID', 'The delegation is for another key, provider, pool or coordinator.', {
      remedy: 'Set the agent up again, or correct what was changed in the configuration by hand.',
    });
  }
  if (delegation.expiresAt === null)
    return `It permits ${delegation.permissions.join(', ')}, without an end.`;
  const leftMs = delegation.expiresAt - clock.now();
  if (leftMs <= 0) throw new AppError('GRANT_EXPIRED', 'The delegation of this agent has expired.');
  const left = renderDuration(leftMs);
  if (leftMs > EXPIRY_WARNING_MS)
    return `It permits ${delegation.permissions.join(', ')}, for another ${left}.`;
  return { severity: 'warning', detail: `It ends in ${left}.`, remedy: 'Make a new setup token in time.' };
}

function readDelegation(keyDir: string): Delegation | null {
  const [grant, delegation] = [GRANT_FILE, DELEGATION_FILE].map((name) => join(keyDir, name));
  if (grant === undefined || delegation === undefined || !existsSync(grant) || !existsSync(delegation))
    return null;
  return verifyDelegation(readFileSync(grant, 'utf8').trim(), readFileSync(delegation, 'utf8').trim());
}

/** Whose orders are taken: the configuration's keys, and those that they have announced since. */
function checkPinnedKeys({ clock }: DoctorParts, { config, status }: Findings): Finding {
  if (config === null) return NO_CONFIG;
  const keys = status?.coordinator_keys ?? [];
  const good = keys.filter(({ ends_at }) => ends_at === null || Date.parse(ends_at) > clock.now());
  if (keys.length === 0) return `Orders are taken from ${config.coordinator.publicKeys.join(' and ')}.`;
  const names = good.map(
    ({ key, pinned_at }) => `${key}${pinned_at === null ? '' : ` (since ${pinned_at})`}`,
  );
  return `Orders are taken from ${names.join(' and ')}.`;
}

/** Registers again, which changes nothing and answers who we are: proof that both sides know each other. */
async function checkCoordinator(
  { clock, random }: DoctorParts,
  { config, keys, status }: Findings,
): Promise<Finding> {
  if (config === null) return NO_CONFIG;
  if (keys === null) return NO_KEYS;
  const file = join(config.keyDir, DELEGATION_FILE);
  if (!existsSync(file)) return skipped(`There is no ${DELEGATION_FILE} in ${config.keyDir} to show it.`);
  const registrar = new Registrar({ url: config.coordinator.url, clock, random });
  try {
    const body = { delegation: readFileSync(file, 'utf8').trim() };
    const { registration, skewMs } = await registrar.register(
      keys.agentKey,
      body,
      new AbortController().signal,
    );
    const pinned = status?.coordinator_keys.map(({ key }) => key) ?? config.coordinator.publicKeys;
    const { key_rotations = [], environment } = registration;
    const follows = followRotations(pinned, key_rotations, environment);
    if (!follows.some(({ key }) => key === registration.coordinator_key)) {
      const detail = `It now signs with ${registration.coordinator_key}, which is not pinned: its orders are refused.`;
      throw new AppError('ORDER_REFUSED', detail, {
        remedy:
          'Ask the coordinator whether it changed its key; only then add it to coordinator.public_keys.',
      });
    }
    if (registration.environment !== config.environment) {
      throw new AppError(
        'CONFIG_INVALID',
        `It is the environment ${registration.environment}, not ${config.environment}.`,
      );
    }
    return describeSkew(skewMs);
  } finally {
    await registrar.close();
  }
}

function describeSkew(skewMs: number | null): Finding {
  const known = 'It answers, knows this agent, and has the pinned key';
  if (skewMs === null || Math.abs(skewMs) < SKEW_WARNING_MS) return `${known}; the clocks agree.`;
  const off = `${renderDuration(Math.abs(skewMs))} ${skewMs > 0 ? 'behind' : 'ahead of'}`;
  const more = Math.abs(skewMs) > SKEW_MAX_S * 1000 ? ' The agent corrects for it.' : '';
  return {
    severity: 'warning',
    detail: `${known}, but this machine's clock is ${off} the coordinator's.${more}`,
    remedy: 'Let NTP set the clock of this machine.',
  };
}

/** A running agent looks every minute, with the driver's own files; without one we look ourselves. */
async function checkBackend(
  { clock, random }: DoctorParts,
  { config, keys, status }: Findings,
): Promise<Finding> {
  if (config === null) return NO_CONFIG;
  if (status?.running === true && status.backend !== null) {
    const { healthy, why } = status.backend;
    if (!healthy) throw new AppError('PROVISIONER_UNAVAILABLE', why);
    return `The agent says: ${why}`;
  }
  if (keys === null) return NO_KEYS;
  const { kind, options } = config.provisioner;
  const { why } = await assertBackendHealthy(
    { kind, options, sealSecret: keys.sealSecret.reveal() },
    { clock, random },
  );
  return why;
}

function checkReleases({ clock }: DoctorParts, { status }: Findings): Finding {
  if (status === null) return skipped('Not looked at: there is no journal.');
  const { paused_releases: paused } = status;
  const [first] = paused;
  if (first === undefined) return 'No release is held back.';
  const since = renderDuration(clock.now() - Date.parse(first.since));
  return {
    severity: 'warning',
    detail: `${paused.length} instances were to be destroyed, more than usual; they wait for you since ${since}.`,
    remedy: 'Check that these contracts have really ended: dc-agent confirm',
  };
}

function checkOrphans({ status }: Findings): Finding {
  if (status === null) return skipped('Not looked at: there is no journal.');
  const { orphans, foreign_instances: foreign } = status;
  const others = foreign === 0 ? '' : ` ${foreign} foreign instances are left alone.`;
  if (orphans.length === 0) return `The journal accounts for all instances of ours.${others}`;
  return {
    severity: 'warning',
    detail: `${orphans.length} instances of ours are at the backend without an order in the journal.${others}`,
    remedy: 'The agent leaves them alone. Find out whose they are: dc-agent orphans list',
  };
}

function checkOutbox({ clock }: DoctorParts, { status }: Findings): Finding {
  if (status === null) return skipped('Not looked at: there is no journal.');
  const { records, oldest_at: oldest } = status.outbox;
  if (oldest === null) return 'Everything is delivered.';
  const ageMs = clock.now() - Date.parse(oldest);
  const detail = `${records} records wait, the oldest for ${renderDuration(ageMs)}.`;
  if (ageMs < OUTBOX_WARNING_MS) return detail;
  return { severity: 'warning', detail, remedy: 'Nothing is lost. See the log for `records.failed`.' };
}
