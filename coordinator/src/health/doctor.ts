/** Checks what the coordinator stands on, one thing after the other, and says what to do about what is not good. */
import type { CoordinatorConfig } from '../config/config.ts';
import { readKeyFile } from '../config/key-file.ts';
import { AppError } from '@dc/shared/errors';
import type { Database } from '../database/database.ts';
import { rowsNeedingAttention } from '../jobs/outbox.ts';
import { keyFileOf, readRotations } from '../keys/rotation-file.ts';
import { findSafeMode } from '../safe-mode/safe-mode-store.ts';
import { checkStripe, type Check } from '../payments/stripe/stripe-setup.ts';

/** What the doctor is given. `openDatabase` throws where the database cannot be used. */
export interface DoctorParts {
  config: CoordinatorConfig;
  openDatabase: () => Promise<Database>;
}

/** Runs every check. Never throws for what it finds. */
export async function runDoctor({ config, openDatabase }: DoctorParts): Promise<Check[]> {
  const checks = [await checkOne('Key', () => Promise.resolve(describeKey(config)))];
  checks.push(
    await checkOne('Database', async () => {
      const db = await openDatabase();
      return describeDatabase(config, db).finally(() => db.close());
    }),
  );
  if (config.payments.stripe !== undefined)
    checks.push(...(await checkStripe(config.payments.stripe, config.publicUrl)));
  return checks;
}

/** The newest key: where one was announced, it must be there before it begins to sign. */
function describeKey({ keyFile }: CoordinatorConfig): string {
  const file = keyFileOf(keyFile, readRotations(keyFile).length);
  return `${file} holds the key ${readKeyFile(file).publicKey}.`;
}

/** What waits for a person, or that nothing does. */
async function describeDatabase({ databaseFile }: CoordinatorConfig, { read }: Database): Promise<string> {
  if ((await findSafeMode(read)) !== null)
    throw new AppError('COORDINATOR_SAFE_MODE', undefined, {
      remedy: 'Run: dc-coordinator admin safe-mode status',
    });
  if ((await rowsNeedingAttention(read, 1)).length > 0)
    throw new AppError('SERVICE_UNAVAILABLE', 'Work has been given up: a person has to look at it.', {
      remedy: 'Run: dc-coordinator admin stats',
    });
  return `${databaseFile} is up to date, and nothing waits for a person.`;
}

async function checkOne(name: string, run: () => Promise<string>): Promise<Check> {
  try {
    return { name, isGood: true, detail: await run(), remedy: null };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { name, isGood: false, detail: error.message, remedy: error.remedy };
  }
}

/** As lines to print. */
export function describeChecks(checks: readonly Check[]): string[] {
  return checks.flatMap(({ name, isGood, detail, remedy }) => [
    `${isGood ? 'ok  ' : 'FAIL'}  ${name}: ${detail}`,
    ...(remedy === null ? [] : [`      ${remedy}`]),
  ]);
}
