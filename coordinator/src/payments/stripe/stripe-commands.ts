/** The commands of Stripe: `dc-coordinator admin stripe setup`. */
import type { Command } from 'commander';
import { AppError } from '@dc/shared/errors';
import type { CoordinatorConfig } from '../../config/config.ts';
import { setUpStripe } from './stripe-setup.ts';

/** What the commands are given by the program. */
export interface StripeCommandParts {
  print: (line: string) => void;
  loadConfig: (file: string) => CoordinatorConfig;
  /** Adds the option --config. */
  addConfig: (command: Command) => Command;
}

/** Adds them below `admin`. */
export function addStripeCommands(
  admin: Command,
  { print, loadConfig, addConfig }: StripeCommandParts,
): void {
  const stripe = admin.command('stripe').description('Payments by Stripe.');
  addConfig(stripe.command('setup'))
    .description(
      'Makes the webhook endpoint at Stripe with every event that is handled, and keeps its secret.',
    )
    .action(async (options: { config: string }) => {
      const { payments, publicUrl } = loadConfig(options.config);
      if (payments.stripe === undefined)
        throw new AppError('CONFIG_INVALID', 'The configuration has no section [payments.stripe].', {
          remedy: 'Add it, with secret_key_file and webhook_secret_file.',
        });
      for (const line of await setUpStripe(payments.stripe, publicUrl)) print(line);
    });
}
