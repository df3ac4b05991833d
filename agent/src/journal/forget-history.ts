/**
 * SQL: what the journal lets go of contracts that ended long ago. What stays is small, and enough to answer every
 * order as before: the signed tombstone, the order with the highest epoch, how each saga ended, and the instance.
 */

// A contract whose last word is older than `:before`, with nothing open, to be told or to be decided; and that still has
// something to let go: every order that is taken leaves a lease, every saga its events.
export const ENDED_LONG_AGO = (live: string): string => `
  SELECT contract_id FROM (
    SELECT contract_id, count(*) AS orders, max(max(received_at, coalesce(returned_at, 0))) AS at
    FROM orders GROUP BY contract_id
  ) o
  WHERE at < :before
  AND (orders > 2 OR EXISTS (SELECT 1 FROM leases l WHERE l.contract_id = o.contract_id) OR EXISTS (
    SELECT 1 FROM sagas s JOIN saga_events e ON e.saga_id = s.saga_id WHERE s.contract_id = o.contract_id))
  AND NOT (${live})
  AND NOT EXISTS (SELECT 1 FROM sagas s WHERE s.contract_id = o.contract_id AND s.finished_at >= :before)
  AND NOT EXISTS (SELECT 1 FROM releases r WHERE r.contract_id = o.contract_id
    AND (r.allowed_at IS NULL OR r.allowed_at >= :before))
  AND NOT EXISTS (SELECT 1 FROM records c WHERE c.acknowledged_at IS NULL AND c.contract_id = o.contract_id)
  AND NOT EXISTS (SELECT 1 FROM orders w WHERE w.contract_id = o.contract_id
    AND w.returned_at IS NOT NULL AND w.return_delivered_at IS NULL)
  LIMIT :limit`;

/** What goes, for the contracts of `:contractIds`, a JSON list. */
export const FORGET: readonly string[] = [
  `DELETE FROM saga_events WHERE saga_id IN (
     SELECT saga_id FROM sagas WHERE contract_id IN (SELECT value FROM json_each(:contractIds)))`,
  'DELETE FROM releases WHERE contract_id IN (SELECT value FROM json_each(:contractIds))',
  'DELETE FROM leases WHERE contract_id IN (SELECT value FROM json_each(:contractIds))',
  // The newest of all is what the coordinator is told that we hold.
  `DELETE FROM orders WHERE contract_id IN (SELECT value FROM json_each(:contractIds))
   AND rowid <> (SELECT max(rowid) FROM orders)
   AND epoch <> (SELECT max(n.epoch) FROM orders n WHERE n.contract_id = orders.contract_id)
   AND NOT (kind = 'destroy' AND returned_at IS NULL AND epoch = (
     SELECT max(d.epoch) FROM orders d
     WHERE d.contract_id = orders.contract_id AND d.kind = 'destroy' AND d.returned_at IS NULL))`,
];
