/** Every migration, in order. A new one is a file in this folder, its row types in tables.ts, and a line here. */
import type { Migration } from './migration.ts';
import { up as outboxAndLedger } from './0001-outbox-and-ledger.ts';
import { up as spine } from './0002-spine.ts';
import { up as extensionsAndCapacity } from './0003-extensions-and-capacity.ts';
import { up as credentials } from './0004-credentials.ts';
import { up as roomAndAvailability } from './0005-room-and-availability.ts';
import { up as safeMode } from './0006-safe-mode.ts';
import { up as money } from './0007-money.ts';
import { up as payments } from './0008-payments.ts';
import { up as usage } from './0009-usage.ts';
import { up as prices } from './0010-prices.ts';
import { up as refundGate } from './0011-refund-gate.ts';
import { up as documents } from './0012-documents.ts';
import { up as archive } from './0013-archive.ts';
import { up as countedRefunds } from './0014-counted-refunds.ts';
import { up as cleanLeases } from './0015-clean-leases.ts';
import { up as usageReports } from './0016-usage-reports.ts';
import { up as payoutTransfers } from './0017-payout-transfers.ts';

export const MIGRATIONS: readonly Migration[] = [
  { name: '0001-outbox-and-ledger', up: outboxAndLedger },
  { name: '0002-spine', up: spine },
  { name: '0003-extensions-and-capacity', up: extensionsAndCapacity },
  { name: '0004-credentials', up: credentials },
  { name: '0005-room-and-availability', up: roomAndAvailability },
  { name: '0006-safe-mode', up: safeMode },
  { name: '0007-money', up: money },
  { name: '0008-payments', up: payments },
  { name: '0009-usage', up: usage },
  { name: '0010-prices', up: prices },
  { name: '0011-refund-gate', up: refundGate },
  { name: '0012-documents', up: documents },
  { name: '0013-archive', up: archive },
  { name: '0014-counted-refunds', up: countedRefunds },
  { name: '0015-clean-leases', up: cleanLeases },
  { name: '0016-usage-reports', up: usageReports },
  { name: '0017-payout-transfers', up: payoutTransfers },
];
