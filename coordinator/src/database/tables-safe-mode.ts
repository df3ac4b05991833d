/** Row types of the tables of migration 0006: the safe mode, and the orders that agents say they hold. */

export interface SafeModeTables {
  safe_modes: SafeModesTable;
  held_orders: HeldOrdersTable;
  held_orders_told: HeldOrdersToldTable;
}

/** A time in which nothing is sold, ordered, ended or paid; see safe-mode/. At most one is not resolved. */
export interface SafeModesTable {
  id: string;
  entered_at: number;
  cause: 'agent_ahead' | 'mark_ahead' | 'order_forged' | 'admin';
  detail: string;
  /** Whose evidence it was, where it was an agent's. */
  agent_key: string | null;
  /** What we once signed and do not know any more. */
  proof: string | null;
  /** The newest thing that the database knew when it was entered. */
  known_until_at: number;
  resolved_at: number | null;
}

/** When an agent has last told everything that it holds. */
export interface HeldOrdersToldTable {
  agent_key: string;
  told_at: number;
}

/** The newest order that an agent holds for a contract, as it told us in a safe mode. */
export interface HeldOrdersTable {
  agent_key: string;
  contract_id: string;
  kind: string;
  epoch: number;
  /** The order, verbatim: its signature is ours. */
  compact: string;
  told_at: number;
}
