/** The drivers that a configuration can name. Each is loaded when it is opened, with its packages. */
import type { TSchema } from 'typebox';
import Value from 'typebox/value';
import type { Clock } from '@dc/shared/clock';
import { AppError, type FieldProblem } from '@dc/shared/errors';
import type { Random } from '@dc/shared/random';
import type { Check } from '../lib/check.ts';
import { LocalOptionsSchema, problemsOfLocalOptions, type LocalOptions } from './local/local-options.ts';
import type { Provisioner } from './provisioner.ts';
import {
  ProxmoxOptionsSchema,
  problemsOfProxmoxOptions,
  type ProxmoxOptions,
} from './proxmox/proxmox-options.ts';

/** What a driver gets from the agent. */
export interface ProvisionerContext {
  readonly clock: Clock;
  readonly random: Random;
  /** The provider's 32-byte seal secret. */
  readonly sealSecret: Uint8Array;
  /** A folder of this driver's own; the driver makes it. Absolute. */
  readonly stateDir: string;
}

/** What is sold: what the doctor holds a backend against. */
export interface Offer {
  readonly title: string;
  readonly operatingSystems: readonly string[];
  readonly cpu: number;
  readonly memoryMb: number;
  readonly diskGb: number;
}

/** What a diagnosis gets from the doctor. `stateDir` is a scratch folder. */
export interface DiagnosisContext extends ProvisionerContext {
  /** Null where the coordinator did not say. */
  readonly offers: readonly Offer[] | null;
  /** Whether something may be made at the backend, to be destroyed at once. */
  readonly mayProbe: boolean;
  /** Aborted: nothing more is begun, and what was made is taken away. */
  readonly signal: AbortSignal;
}

/** Everything that a backend depends on, to be checked one after another. */
export interface Diagnosis {
  readonly checks: readonly Check[];
  close(): Promise<void>;
}

/** A kind of backend. */
export interface Driver {
  /** The options in the configuration, with unknown keys refused. */
  readonly optionsSchema: TSchema;
  /** What is wrong beyond the schema, with JSON pointers into the options. Called with options that fit it. */
  problemsOf(options: unknown): FieldProblem[];
  /** Opens the backend. Options are valid. */
  open(options: unknown, context: ProvisionerContext): Promise<Provisioner>;
  /** The driver's own checks for the doctor. Options are valid; an AppError where not even looking is possible. */
  diagnose?(options: unknown, context: DiagnosisContext): Promise<Diagnosis>;
}

/** Every driver by the name that the configuration uses. */
export const DRIVERS: Readonly<Record<string, Driver>> = {
  local: {
    optionsSchema: LocalOptionsSchema,
    problemsOf: (options) => problemsOfLocalOptions(options as LocalOptions),
    open: async (options, context) => {
      const { LocalProvisioner } = await import('./local/local-provisioner.ts');
      return LocalProvisioner.open(options as LocalOptions, context);
    },
  },
  proxmox: {
    optionsSchema: ProxmoxOptionsSchema,
    problemsOf: (options) => problemsOfProxmoxOptions(options as ProxmoxOptions),
    open: async (options, context) => {
      const { ProxmoxProvisioner } = await import('./proxmox/proxmox-provisioner.ts');
      return ProxmoxProvisioner.open(options as ProxmoxOptions, context);
    },
    diagnose: async (options, context) => {
      const { diagnoseProxmox } = await import('./proxmox/diagnose.ts');
      return diagnoseProxmox(options as ProxmoxOptions, context);
    },
  },
};

/** Everything that is wrong with a driver's options; empty when they can be opened. */
export function problemsOfOptions(kind: string, options: unknown): FieldProblem[] {
  const driver = driverOf(kind);
  if (driver === undefined) {
    const known = Object.keys(DRIVERS).join(', ');
    return [{ pointer: '', detail: `there is no driver ${JSON.stringify(kind)}; there is: ${known}` }];
  }
  const problems = Value.Errors(driver.optionsSchema, options).map((error) => ({
    pointer: error.instancePath,
    detail: error.message,
  }));
  return problems.length > 0 ? problems : driver.problemsOf(options);
}

/** Opens the driver of this kind. CONFIG_INVALID with one field for each problem when the options are not valid. */
export async function openProvisioner(
  kind: string,
  options: unknown,
  context: ProvisionerContext,
): Promise<Provisioner> {
  const fields = problemsOfOptions(kind, options);
  const driver = driverOf(kind);
  if (fields.length > 0 || driver === undefined) {
    const said = fields.map(({ pointer, detail }) => `${pointer || '/'}: ${detail}`).join('; ');
    throw new AppError('CONFIG_INVALID', `The options of the driver are not valid: ${said}.`, { fields });
  }
  return driver.open(options, context);
}

/** The checks of this kind of backend; none where its driver has none. Options are valid. */
export async function diagnoseBackend(
  kind: string,
  options: unknown,
  context: DiagnosisContext,
): Promise<Diagnosis> {
  const diagnosis = await driverOf(kind)?.diagnose?.(options, context);
  return diagnosis ?? { checks: [], close: () => Promise.resolve() };
}

function driverOf(kind: string): Driver | undefined {
  return Object.hasOwn(DRIVERS, kind) ? DRIVERS[kind] : undefined;
}
