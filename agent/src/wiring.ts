/**
 * Builds an agent from its configuration: the only place where its parts are made and put together. Everything that
 * touches the world can be handed in, so that several agents run in one process on virtual time.
 */
import { createHmac } from 'node:crypto';
import { mkdirSync, statfsSync } from 'node:fs';
import type { Clock } from '@dc/shared/clock';
import type { Random } from '@dc/shared/random';
import { makeSeal } from '@dc/shared/seal';
import { DestructionBreaker } from './breaker/destruction-breaker.ts';
import { changeAvailability, readState, takesNewWork } from './availability/availability.ts';
import type { Config } from './config/config-schema.ts';
import { loadKeys, type AgentKeys } from './config/key-files.ts';
import { driverDir, journalFile } from './config/paths.ts';
import type { ControlParts, ControlServer } from './control/control-server.ts';
import type { Coordinator } from './coordinator-client/coordinator.ts';
import { PinnedKeys } from './coordinator-keys/pinned-keys.ts';
import type { LoginProbe } from './guest-access/login-probe.ts';
import { sshLoginProbe } from './guest-access/ssh-login-probe.ts';
import { HealthLoop, type Look } from './health/health-loop.ts';
import { probeSshOn } from './health/probe-ssh.ts';
import { readBanner } from './health/read-banner.ts';
import { historyTurn } from './journal/history-loop.ts';
import type { Journal } from './journal/journal.ts';
import { openJournal, type OpenOptions } from './journal/open-journal.ts';
import type { BackoffLimits } from './lib/backoff.ts';
import type { Log } from './lib/log.ts';
import type { Turn } from './lib/loop.ts';
import { Nudge } from './lib/nudge.ts';
import { destroyOrphan } from './orphans/destroy-orphan.ts';
import type { Provisioner } from './provisioners/provisioner.ts';
import { openProvisioner } from './provisioners/registry.ts';
import { ContractRunner } from './reconcile/contract-runner.ts';
import { laneOn } from './reconcile/lane.ts';
import { Contact } from './run/contact.ts';
import { RecordDelivery } from './run/deliver-records.ts';
import { returnTurn } from './run/deliver-returns.ts';
import { heartbeatTurn } from './run/heartbeat-loop.ts';
import { HeldOrdersTeller } from './run/held-evidence.ts';
import { LeaseKeeper } from './run/lease-keeper.ts';
import type { Notify } from './run/notify-systemd.ts';
import { BackendObserver } from './run/observe-backend.ts';
import { RunningAgent, type AgentParts, type Loop } from './run/running-agent.ts';
import { StreamLoop } from './run/stream-loop.ts';
import { VERSION } from './run/version.ts';
import { watchdogTurn } from './run/watchdog-loop.ts';
import { WorkLoop } from './run/work-loop.ts';
import { allSagas } from './sagas/all-sagas.ts';
import { SagaEngine } from './sagas/run-saga.ts';
import type { ProbeSsh } from './sagas/saga-parts.ts';

/** What an agent is made with. Whatever is left out is the real thing. */
export interface AgentDependencies {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly keys?: AgentKeys;
  readonly provisioner?: Provisioner;
  readonly coordinator?: Coordinator;
  readonly probeSsh?: ProbeSsh;
  readonly loginProbe?: LoginProbe;
  readonly look?: Look;
  readonly notify?: Notify;
  readonly watchdogMs?: number | null;
  /** Where to listen for the operator's commands; nowhere without it. */
  readonly controlPath?: string;
  /** For crash tests: called around every write of the journal. */
  readonly onWrite?: OpenOptions['onWrite'];
}

/** An agent that can be started once. */
export type Agent = RunningAgent;

// How long loops pause after failures. Whoever waits for a person's answer begins quickly; nobody ever gives up.
const PATIENT: BackoffLimits = { baseMs: 1_000, capMs: 30_000 };
const WORK: BackoffLimits = { baseMs: 500, capMs: 30_000 };
const STREAM: BackoffLimits = { baseMs: 200, capMs: 30_000 };
const DELIVERY: BackoffLimits = { baseMs: 200, capMs: 60_000 };

/** Orders held at once where a backend has lanes: what waits in a full one must not keep others from being asked for. */
const LANES_BACKLOG = 100;

/** What is open while the agent runs. */
interface Opened {
  readonly config: Config;
  readonly deps: AgentDependencies;
  readonly keys: AgentKeys;
  readonly journal: Journal;
  readonly provisioner: Provisioner;
  readonly coordinator: Coordinator;
  readonly pins: PinnedKeys;
}

/** Makes an agent. Nothing is opened before `start`. */
export function createAgent(config: Config, deps: AgentDependencies): Agent {
  const { clock, random, log } = deps;
  const { controlPath: path } = deps;
  const openControl = async (handle: ControlParts['handle']): Promise<ControlServer | null> => {
    if (path === undefined) return null;
    const { ControlServer } = await import('./control/control-server.ts');
    return ControlServer.open({ path, clock, log, handle });
  };
  const { drainMs } = config.limits;
  return new RunningAgent({ clock, random, log, drainMs, openControl }, async () =>
    assemble(await open(config, deps)),
  );
}

/** Opens keys, journal, backend and connection; where one fails, what was opened before is closed. */
async function open(config: Config, deps: AgentDependencies): Promise<Opened> {
  const { clock, random } = deps;
  const keys = deps.keys ?? loadKeys(config.keyDir);
  mkdirSync(config.stateDir, { recursive: true, mode: 0o700 });
  const onWrite = deps.onWrite === undefined ? {} : { onWrite: deps.onWrite };
  const journal = openJournal(journalFile(config.stateDir), { random, ...onWrite });
  try {
    const { kind, options } = config.provisioner;
    const stateDir = driverDir(config.stateDir, kind);
    const sealSecret = keys.sealSecret.reveal();
    const provisioner =
      deps.provisioner ?? (await openProvisioner(kind, options, { clock, random, sealSecret, stateDir }));
    const coordinator = deps.coordinator ?? (await openCoordinator(config, deps, keys));
    const { environment } = config;
    const coordinatorKeys = config.coordinator.publicKeys;
    const { log } = deps;
    const pins = new PinnedKeys({ journal, coordinator, clock, log, coordinatorKeys, environment });
    return { config, deps, keys, journal, provisioner, coordinator, pins };
  } catch (error) {
    journal.close();
    throw error;
  }
}

async function openCoordinator(
  { coordinator }: Config,
  { clock, random }: AgentDependencies,
  { agentKey }: AgentKeys,
): Promise<Coordinator> {
  const { HttpCoordinator } = await import('./coordinator-client/http-coordinator.ts');
  return new HttpCoordinator({ url: coordinator.url, key: agentKey, clock, random });
}

/** How loops wake each other: the only thing that they know of one another. */
interface Nudges {
  readonly heartbeat: Nudge;
  readonly work: Nudge;
  readonly records: Nudge;
  readonly returns: Nudge;
}

const newNudges = (): Nudges => ({
  heartbeat: new Nudge(),
  work: new Nudge(),
  records: new Nudge(),
  returns: new Nudge(),
});

/** Puts the parts together. */
function assemble(opened: Opened): AgentParts {
  const { config, deps, journal, provisioner, coordinator } = opened;
  const { clock, random, log } = deps;
  const slots = config.limits.parallel;
  const nudges = newNudges();
  const onWork = (): void => nudges.work.nudge();
  const onOutbox = (): void => {
    nudges.records.nudge();
    nudges.returns.nudge();
    // A place may have become free.
    if (work.isHungry && keeper.openCount() < slots) onWork();
  };
  const shared = { journal, coordinator, clock, random, log };
  const contact = new Contact(shared);
  const sealFor = sealsOf(opened);
  const observer = new BackendObserver({
    ...shared,
    provisioner,
    sealFor,
    onLook: (seen) => runner.nudgeAll(seen),
  });
  const runner: ContractRunner = new ContractRunner({
    ...shared,
    engine: makeEngine(opened, onOutbox),
    slots,
    laneOf: laneOn(journal, provisioner),
    observed: (contractId) => observer.of(contractId),
    onOutbox,
  });
  const keeper = new LeaseKeeper({ ...shared, runner, contact, onLost: onWork });
  const stream = new StreamLoop({
    ...shared,
    contact,
    onWork,
    onBack: () => {
      onOutbox();
      keeper.nudge.nudge();
    },
  });
  const work: WorkLoop = new WorkLoop({
    ...shared,
    runner,
    keeper,
    contact,
    trust: { agentKey: opened.keys.agentKey.publicKey, environment: config.environment },
    pins: opened.pins,
    backlog: provisioner.laneOf === undefined ? 2 * slots : LANES_BACKLOG,
    here: (contractId) => ({
      backendId: provisioner.backendId ?? null,
      isSeen: observer.of(contractId).existence.existence === 'present',
    }),
    conditions: () => ({
      fingerprint: observer.fingerprint,
      diskFreeBytes: diskFreeBytes(config.stateDir),
      diskFreeBytesMin: config.limits.diskFreeBytes,
      takesNewWork: takesNewWork(readState(journal, clock.now())),
    }),
    isStreamUp: () => stream.isUp,
    onReturn: onOutbox,
  });
  const parts = { journal, coordinator, provisioner, runner, keeper, observer, contact, work, stream };
  return {
    ...parts,
    ...operatorActs(opened, () => {
      nudges.heartbeat.nudge(); // Sales stop with it.
      onOutbox();
    }),
    flush: onOutbox,
    loops: makeLoops(opened, parts, { ...nudges, onWork, onOutbox }),
  };
}

/** What the operator's commands have the running agent do. */
function operatorActs(
  opened: Opened,
  onAvailability: () => void,
): Pick<AgentParts, 'changeAvailability' | 'destroyOrphan'> {
  const { config, deps, keys, journal, provisioner } = opened;
  const { clock } = deps;
  const { agentKey } = keys;
  return {
    changeAvailability(change) {
      const changed = changeAvailability(
        { journal, clock, agentKey, environment: config.environment },
        change,
      );
      onAvailability();
      return changed;
    },
    destroyOrphan: (id, signal) =>
      destroyOrphan({ journal, provisioner, clock, sealFor: sealsOf(opened) }, id, signal),
  };
}

/** Makes the seals of this provider in this environment. */
const sealsOf =
  ({ config, keys }: Opened) =>
  (contractId: string): string =>
    makeSeal(keys.sealSecret.reveal(), { contractId, environment: config.environment });

/** What passwords are made with: of the seal secret, which is on the agent's machine only and not in the journal. */
const passwordKeyOf = ({ sealSecret }: AgentKeys): Uint8Array =>
  createHmac('sha256', sealSecret.reveal()).update('dc-password-key-v1').digest();

function makeEngine(opened: Opened, onOutbox: () => void): SagaEngine {
  const { config, deps, keys, journal, provisioner } = opened;
  const { clock, random, log } = deps;
  const { environment, limits } = config;
  const sagas = allSagas({
    provisioner,
    sealFor: sealsOf(opened),
    probeSsh: deps.probeSsh ?? probeSshOn(clock),
    loginProbe: deps.loginProbe ?? sshLoginProbe({ clock, random }),
    secretKey: passwordKeyOf(keys),
    sshTimeoutMs: limits.sshTimeoutMs,
  });
  const { destructionsPerHour } = limits;
  const { mayDestroy } = new DestructionBreaker({ journal, clock, log, destructionsPerHour });
  const { agentKey } = keys;
  return new SagaEngine({ journal, clock, random, log, agentKey, environment, onOutbox, mayDestroy }, sagas);
}

type LoopedParts = Omit<AgentParts, 'loops' | 'flush' | 'destroyOrphan' | 'changeAvailability'>;
type Signals = Nudges & { readonly onWork: () => void; readonly onOutbox: () => void };

/** Everything that is repeated for as long as the agent runs. No loop waits for another one. */
function makeLoops(opened: Opened, parts: LoopedParts, { onWork, onOutbox, ...nudges }: Signals): Loop[] {
  const { config, deps, keys } = opened;
  const { clock } = deps;
  const shared = { ...parts, clock, random: deps.random, log: deps.log };
  const { agentKey } = keys;
  const { environment } = config;
  const { pins } = opened;
  const records = new RecordDelivery({ ...shared, pins, agentKey: agentKey.publicKey });
  const look: Look = deps.look ?? ((address, signal) => readBanner(address, { clock, signal }));
  const health = new HealthLoop({
    ...shared,
    agentKey,
    environment,
    look,
    onRecord: onOutbox,
  });
  const heartbeat = heartbeatTurn({
    ...shared,
    pins,
    teller: new HeldOrdersTeller(shared),
    agentKey,
    environment,
    version: VERSION,
    onWork,
    onLostRecords(fromSeq) {
      records.reopen(fromSeq);
      onOutbox();
    },
    onElsewhere: (contractIds) => parts.observer.noteElsewhere(contractIds),
  });
  const watchdog = watchdogTurn({
    ...shared,
    notify: deps.notify ?? (() => Promise.resolve()),
    watchdogMs: deps.watchdogMs ?? null,
    describe: () => describeAgent(parts),
  });
  const loop = (name: string, turn: Turn, backoff: BackoffLimits, nudge = new Nudge()): Loop => ({
    name,
    turn,
    backoff,
    nudge,
  });
  return [
    loop('heartbeat', heartbeat, PATIENT, nudges.heartbeat),
    loop('stream', parts.stream.turn, STREAM),
    loop('work', parts.work.turn, WORK, nudges.work),
    loop('leases', parts.keeper.turn, PATIENT, parts.keeper.nudge),
    loop('records', records.turn, DELIVERY, nudges.records),
    loop('returns', returnTurn(shared), DELIVERY, nudges.returns),
    loop('backend', parts.observer.turn, PATIENT),
    loop('health', health.turn, PATIENT),
    loop('history', historyTurn({ ...shared, historyMs: config.limits.historyMs }), PATIENT),
    loop('watchdog', watchdog, PATIENT),
  ];
}

/** One line for people. It changes only when something changes. */
function describeAgent({
  journal,
  runner,
  contact,
}: Pick<AgentParts, 'journal' | 'runner' | 'contact'>): string {
  const running = journal.instances(['running']).length;
  const reach = contact.isFresh ? 'in contact with the coordinator' : 'the coordinator does not answer';
  return `${running} running, ${runner.activeCount} at work, ${reach}`;
}

/** Null where the disk cannot be asked. */
function diskFreeBytes(path: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  } catch {
    return null; // Not knowing is an answer here: nothing is declined because of it.
  }
}
