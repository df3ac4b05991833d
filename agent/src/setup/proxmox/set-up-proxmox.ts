/**
 * Sets a Proxmox VE cluster up for an agent, and this machine as that agent. Everything that can fail is done and
 * looked at before the setup token is spent.
 */
import { existsSync } from 'node:fs';
import { AppError } from '@dc/shared/errors';
import { parseSetupToken } from '@dc/shared/delegation/setup-token';
import { accessSteps } from './access-steps.ts';
import { registerStep, serviceStep, vmidStep, type ServicePlace } from './agent-steps.ts';
import { parseAddresses, parseVmids, type KnownAnswers } from './answers.ts';
import { diagnosisStep } from './diagnosis-step.ts';
import { certificateStep } from './certificate-step.ts';
import { askAnswers, type Asker } from './ask-answers.ts';
import { readHostFacts, type HostFacts } from './host-facts.ts';
import { Pvesh } from './pvesh.ts';
import { SavedAnswers } from './saved-answers.ts';
import { TEMPLATE_POOL, type SetupContext, type SetupPlan } from './setup-context.ts';
import { planSteps, runSteps, type Step, type StepReport } from './step.ts';
import { templateSteps } from './template-steps.ts';

/** What is only ever said by flags. */
export type SetupSettings = Omit<
  SetupPlan,
  'nodes' | 'storage' | 'bridge' | 'addresses' | 'systems' | 'vmids' | 'coordinatorUrl'
>;

/** What is to be done. */
export interface SetupRequest {
  readonly settings: SetupSettings;
  /** Answers that were given as flags. */
  readonly flags: KnownAnswers;
  readonly isDryRun: boolean;
  /** Null: no service is installed. */
  readonly service: ServicePlace | null;
}

/** What set-up works with, and whom it talks to. */
export interface SetupParts extends Omit<SetupContext, 'plan' | 'facts' | 'pvesh'> {
  /** Null where nobody is there to be asked. */
  readonly asker: Asker | null;
  /** Asks whether to go on, when the plan was shown. */
  readonly confirm: () => Promise<boolean>;
  /** The setup token; called at most once, before anything is changed. */
  readonly readToken: () => Promise<string>;
  readonly report: StepReport & {
    onKnown(message: string, value: string): void;
    onHeading(line: string): void;
  };
}

/** Does it. Answers whether it was done: a dry run, and somebody who says no, leave everything as it was. */
export async function setUpProxmox(request: SetupRequest, parts: SetupParts): Promise<boolean> {
  const { settings, flags, isDryRun } = request;
  const { report, signal, asker } = parts;
  const pvesh = new Pvesh(parts.host, signal);
  const facts = { ...(await readHostFacts(pvesh)), images: parts.images };
  report.onHeading(`Proxmox VE ${facts.version}; ${facts.nodes.map(({ name }) => name).join(', ')}`);
  const answers = await askAnswers({
    facts,
    flags,
    asker,
    saved: new SavedAnswers(settings.output),
    onKnown: (message, value) => report.onKnown(message, value),
    isKept: !isDryRun,
  });
  const context: SetupContext = { ...parts, pvesh, facts, plan: planOf(settings, answers) };
  assertImageStorage(context.plan, facts);
  const readToken = isDryRun || existsSync(settings.output) ? noToken : await tokenOf(parts);
  const steps = stepsOf(context, request, readToken);
  if (isDryRun || asker !== null) {
    report.onHeading(isDryRun ? 'This would be done:' : 'This is going to be done:');
    const isAnything = await planSteps(steps, report);
    if (isDryRun || (isAnything && !(await parts.confirm()))) return false;
    report.onHeading('Doing it:');
  }
  await runSteps(steps, report);
  return true;
}

function planOf(settings: SetupSettings, answers: Required<KnownAnswers>): SetupPlan {
  const vmids = parseVmids(answers.vmids);
  if (settings.pool === TEMPLATE_POOL)
    throw new AppError('COMMAND_USAGE', `--pool ${settings.pool} is where the templates go.`, {
      remedy: 'Choose another --pool.',
    });
  if (vmids === null) throw new AppError('COMMAND_USAGE', `--vmids ${answers.vmids} is no range.`);
  return {
    ...settings,
    vmids,
    nodes: answers.nodes.split(','),
    storage: answers.storage,
    bridge: answers.bridge,
    addresses: parseAddresses(answers.addresses) ?? null,
    systems: answers.systems.split(','),
    coordinatorUrl: answers.coordinator,
  };
}

/** COMMAND_USAGE where images cannot be kept on some node while templates are made. */
function assertImageStorage({ imageStorage, nodes }: SetupPlan, { of }: HostFacts): void {
  for (const node of nodes) {
    const fitting = (of.get(node)?.storages ?? []).filter(({ content }) => content.includes('iso'));
    if (fitting.some(({ storage }) => storage === imageStorage)) continue;
    const names = fitting.map(({ storage }) => storage).join(', ');
    throw new AppError('COMMAND_USAGE', `--image-storage ${imageStorage} takes no ISO images on ${node}.`, {
      remedy:
        names === ''
          ? `Allow them on a storage of files: pvesm set local --content iso,…`
          : `Choose one of: ${names}.`,
    });
  }
}

const noToken = (): Promise<string> =>
  Promise.reject(new AppError('COMMAND_USAGE', 'The setup token is missing.'));

/** Asked for now, kept in memory alone, and spent last. SETUP_TOKEN_INVALID at once where it is none. */
async function tokenOf({ readToken }: SetupParts): Promise<() => Promise<string>> {
  const token = (await readToken()).trim();
  parseSetupToken(token);
  return () => Promise.resolve(token);
}

const stepsOf = (
  context: SetupContext,
  { service }: SetupRequest,
  readToken: () => Promise<string>,
): Step[] => [
  vmidStep(context),
  ...(service === null || context.plan.certificateFile === null
    ? []
    : [certificateStep(context, service.unitDir)]),
  ...accessSteps(context),
  ...templateSteps(context),
  diagnosisStep(context, readToken),
  registerStep(context, readToken),
  ...(service === null ? [] : [serviceStep(context, service)]),
];
