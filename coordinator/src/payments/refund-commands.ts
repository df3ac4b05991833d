/** `dc-coordinator admin refunds …`: what waits for approval, and deciding it, on the machine itself. */
import type { Command } from 'commander';
import { formatMoney, fromWire } from '@dc/shared/money/money';
import type { WireRefundRequest } from '@dc/shared/wire/payment-admin';
import type { Context } from '../context.ts';
import { decideRefund, type RefundDecision } from './decide-refund.ts';
import { listRequests } from './refund-gate-store.ts';
import { viewRequest } from './refund-gate-view.ts';

/** What the commands work with. */
export interface RefundCommandParts {
  print: (line: string) => void;
  /** Opens the coordinator of a configuration, without serving, for as long as `use` takes. */
  withContext: (configFile: string, use: (context: Context) => Promise<void>) => Promise<void>;
  /** Adds the option that names the configuration. */
  addConfig: (command: Command) => Command;
}

interface DecideOptions {
  config: string;
  reason?: string;
}

const LISTED = 1000;

/** Adds them below `admin`. */
export function addRefundCommands(admin: Command, parts: RefundCommandParts): void {
  const { print, withContext, addConfig } = parts;
  const refunds = admin.command('refunds').description('Refunds above the bound, which wait for a person.');
  addConfig(refunds.command('list'))
    .description('Lists those that wait, oldest first.')
    .action(({ config }: { config: string }) =>
      withContext(config, async ({ db }) => {
        const rows = await listRequests(db.read, { state: 'waiting', limit: LISTED });
        for (const row of rows) print(describe(viewRequest(row)));
        if (rows.length === 0) print('No refund waits.');
      }),
    );
  const decide = (id: string, { config, reason }: DecideOptions, decision: RefundDecision['decision']) =>
    withContext(config, async (context) => {
      const wanted = { decision, by: 'command line', reason: reason ?? null };
      const row = await context.db.write((trx) => decideRefund(context, trx, id, wanted));
      print(describe(viewRequest(row)));
    });
  addConfig(refunds.command('approve'))
    .description('Lets a refund leave; the coordinator sends it.')
    .argument('<id>', 'that of the list')
    .option('--reason <text>', 'why, for the books')
    .action((id: string, options: DecideOptions) => decide(id, options, 'approved'));
  addConfig(refunds.command('decline'))
    .description('Puts its money into the renter’s wallet instead.')
    .argument('<id>', 'that of the list')
    .requiredOption('--reason <text>', 'why; the renter reads it')
    .action((id: string, options: DecideOptions) => decide(id, options, 'declined'));
}

function describe(request: WireRefundRequest): string {
  const { id, status, amount, method, contract_id, asked_at, bound, decided_by } = request;
  const by = decided_by === null ? `waits since ${asked_at}, above ${bound}` : `${status} by ${decided_by}`;
  return `${id}  ${formatMoney(fromWire(amount))} by ${method} for contract ${contract_id}: ${by}`;
}
