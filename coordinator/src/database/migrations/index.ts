/** Every migration, in order. A new one is a file in this folder, its row types in tables.ts, and a line here. */
import type { Migration } from './migration.ts';
import { up as outboxAndLedger } from './0001-outbox-and-ledger.ts';
import { up as spine } from './0002-spine.ts';
import { up as extensionsAndCapacity } from './0003-extensions-and-capacity.ts';
import { up as money } from './0007-money.ts';

export const MIGRATIONS: readonly Migration[] = [
  { name: '0001-outbox-and-ledger', up: outboxAndLedger },
  { name: '0002-spine', up: spine },
  { name: '0003-extensions-and-capacity', up: extensionsAndCapacity },
  { name: '0007-money', up: money },
];
