/**
 * Makes an agent of this machine. Everything that can fail without the coordinator is tried before the token is
 * spent, and what must not get lost (the key, the delegation) is on the disk before it is. Every file is whole or
 * not there, so that a run that was interrupted is simply run again.
 */
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Clock } from '@dc/shared/clock';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { signDelegation, verifyGrant, type GrantPayload } from '@dc/shared/delegation/delegation';
import { parseSetupToken, type SetupToken } from '@dc/shared/delegation/setup-token';
import { AppError } from '@dc/shared/errors';
import { toHex } from '@dc/shared/ids';
import { followRotations } from '@dc/shared/key-rotation/key-rotation';
import type { Random } from '@dc/shared/random';
import type { WireRegistration } from '@dc/shared/wire/agent';
import { renderConfig, type TemplateValues } from '../config/config-template.ts';
import { loadKeys } from '../config/key-files.ts';
import { checkRawConfig, parseToml } from '../config/load-config.ts';
import { AGENT_KEY_FILE, DELEGATION_FILE, GRANT_FILE, SEAL_KEY_FILE } from '../config/paths.ts';
import type { FetchedGrant, Registrar } from '../coordinator-client/registrar.ts';
import { writeFileAtomically } from '../lib/write-file.ts';
import { assertBackendHealthy } from './check-backend.ts';
import { readKept, type Kept } from './read-kept.ts';

/** What set-up is told. */
export interface SetupAnswers {
  readonly token: string;
  readonly coordinatorUrl: string;
  /** The configuration file to write. */
  readonly output: string;
  /** Where keys go; null for `keys` beside the configuration. */
  readonly keyDir: string | null;
  readonly stateDir: string;
  readonly provisioner: string;
  /** The options of its driver; none: its own defaults. */
  readonly provisionerOptions?: Readonly<Record<string, unknown>>;
  readonly label: string | null;
  /** Looks and checks, and changes nothing. */
  readonly isDryRun: boolean;
}

/** What set-up works with. */
export interface SetupParts {
  readonly registrar: Pick<Registrar, 'fetchGrant' | 'register'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
  /** Told after each step, in one line. */
  readonly onStep: (line: string) => void;
}

/** What came out. */
export interface SetupOutcome {
  /** Null after a dry run. */
  readonly agentKey: string | null;
  /** True where this machine was registered with this token before. */
  readonly wasRegistered: boolean;
  /** The configuration as it is now, or would be. */
  readonly configText: string;
}

/** Where everything goes; absolute. */
interface Place {
  readonly output: string;
  readonly keyDir: string;
  readonly stateDir: string;
}

/** Sets the machine up. Throws an AppError; whatever it had written by then is whole and used by the next run. */
export async function setUpAgent(answers: SetupAnswers, parts: SetupParts): Promise<SetupOutcome> {
  const token = parseSetupToken(answers.token);
  const output = resolve(answers.output);
  const place: Place = {
    output,
    keyDir: resolve(answers.keyDir ?? join(dirname(output), 'keys')),
    stateDir: resolve(answers.stateDir),
  };
  const { options } = (await checkConfigText(draftConfig(answers, place, token), output)).provisioner;

  const fetched = await parts.registrar.fetchGrant(token.setupKey.publicKey, parts.signal);
  const kept = readKept(place.keyDir, { grant: fetched.compact, sealSecret: token.sealSecret });
  const nowMs = parts.clock.now() + (fetched.skewMs ?? 0);
  const grant = checkGrant(fetched, token, { nowMs, isOurs: kept.delegation !== null });
  parts.onStep(`The setup token is good; the coordinator's key is ${grant.coordinator_key}.`);
  if (existsSync(output) && kept.delegation === null) throw takenError(output);

  const backend = { kind: answers.provisioner, options, sealSecret: token.sealSecret };
  const { why } = await assertBackendHealthy(backend, parts);
  parts.onStep(`The backend answers: ${why}`);
  for (const path of [dirname(output), place.keyDir, place.stateDir])
    prepareDirectory(path, answers.isDryRun);
  parts.onStep('The directories can be written to.');
  if (answers.isDryRun) {
    return { agentKey: null, wasRegistered: false, configText: draftConfig(answers, place, token, grant) };
  }

  const { agentKey, delegation } = keepSecrets(
    { place, token, grant: fetched.compact, kept, nowMs },
    parts.random,
  );
  const label = answers.label === null ? {} : { label: answers.label };
  const { registration } = await parts.registrar.register(agentKey, { delegation, ...label }, parts.signal);
  assertRegistration(registration, grant, agentKey.publicKey);
  const configText = draftConfig(answers, place, token, grant, registration.environment);
  await checkConfigText(configText, output);
  // A configuration that is there already may hold settings of the operator.
  if (!existsSync(output)) writeFileAtomically(output, configText);
  return {
    agentKey: agentKey.publicKey,
    wasRegistered: fetched.isUsed && kept.delegation !== null,
    configText,
  };
}

/** The configuration, with values of the right form for what is not known yet. */
function draftConfig(
  { coordinatorUrl, provisioner, provisionerOptions }: SetupAnswers,
  { keyDir, stateDir }: Place,
  { providerKey }: SetupToken,
  ...known: [grant?: GrantPayload, environment?: string]
): string {
  const [grant, environment = 'not-known-yet'] = known;
  const values: TemplateValues = {
    coordinator: { url: coordinatorUrl, public_keys: [grant?.coordinator_key ?? providerKey] },
    agent: {
      environment,
      provider_pubkey: providerKey,
      pool_id: grant?.pool_id ?? '00000000-0000-7000-8000-000000000000',
      state_dir: stateDir,
      key_dir: keyDir,
    },
    provisioner: {
      kind: provisioner,
      ...(provisionerOptions === undefined ? {} : { options: provisionerOptions }),
    },
  };
  return renderConfig(values);
}

const checkConfigText = async (text: string, file: string) =>
  checkRawConfig(await parseToml(text, file), file);

/** Holds the grant against the token, which nobody between the provider and this machine can have changed. */
function checkGrant(
  { compact, isUsed }: FetchedGrant,
  { setupKey, providerKey }: SetupToken,
  { nowMs, isOurs }: { nowMs: number; isOurs: boolean },
): GrantPayload {
  const grant = verifyGrant(compact);
  if (grant.iss !== providerKey) {
    throw new AppError('GRANT_INVALID', 'The grant is not signed by the provider who made the token.');
  }
  if (grant.sub !== setupKey.publicKey)
    throw new AppError('GRANT_INVALID', 'The grant is for another setup token.');
  if (isOurs) return grant; // It was in time when it was used.
  if (isUsed) throw new AppError('GRANT_USED');
  if (grant.exp * 1000 <= nowMs) throw new AppError('GRANT_EXPIRED');
  return grant;
}

function takenError(output: string): AppError {
  return new AppError(
    'AGENT_KEY_TAKEN',
    `${output} belongs to an agent that was set up with another token.`,
    {
      remedy:
        'If that is the agent you want, there is nothing to do; else choose another --output and --state-dir.',
    },
  );
}

/** Makes a directory that only its owner can enter; in a dry run only says whether that would work. */
function prepareDirectory(path: string, isDryRun: boolean): void {
  try {
    if (!isDryRun) mkdirSync(path, { recursive: true, mode: 0o700 });
    let existing = path;
    while (isDryRun && !existsSync(existing)) existing = dirname(existing);
    accessSync(existing, constants.W_OK | constants.X_OK);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new AppError('COMMAND_USAGE', `${path} cannot be written to (${code}).`, {
      remedy:
        'Run the set-up as the user that will run the agent, with --output and --state-dir in its directories.',
      cause: error,
    });
  }
}

interface Secrets {
  readonly place: Place;
  readonly token: SetupToken;
  readonly grant: string;
  readonly kept: Kept;
  readonly nowMs: number;
}

/** Puts keys, grant and delegation on the disk and reads the keys back as the agent will. Reuses what is there. */
function keepSecrets(
  { place: { keyDir }, token, grant, kept, nowMs }: Secrets,
  random: Random,
): { agentKey: SigningKey; delegation: string } {
  const write = (name: string, text: string): void => writeFileAtomically(join(keyDir, name), `${text}\n`);
  if (!kept.hasAgentKey) write(AGENT_KEY_FILE, toHex(random.bytes(32)));
  write(SEAL_KEY_FILE, toHex(token.sealSecret));
  const { agentKey } = loadKeys(keyDir);
  const iatS = Math.floor(nowMs / 1000);
  const delegation = kept.delegation ?? signDelegation(grant, agentKey.publicKey, iatS, token.setupKey);
  write(GRANT_FILE, grant);
  write(DELEGATION_FILE, delegation);
  return { agentKey, delegation };
}

/** Its key is the one of the grant, or one that this one has announced since. */
const leadsTo = ({ coordinator_key, key_rotations = [], environment }: WireRegistration, granted: string) =>
  followRotations([granted], key_rotations, environment).some(({ key }) => key === coordinator_key);

/** The coordinator has no say in what the provider has granted. */
function assertRegistration(registration: WireRegistration, grant: GrantPayload, agentKey: string): void {
  const fits =
    registration.agent === agentKey &&
    registration.provider_pubkey === grant.iss &&
    registration.pool_id === grant.pool_id &&
    leadsTo(registration, grant.coordinator_key);
  if (!fits)
    throw new AppError('RESPONSE_INVALID', 'The coordinator registered something else than was granted.');
}
