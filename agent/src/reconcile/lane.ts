/** Which contracts compete for the same part of the backend: a storage, a project. */
import { isProvisionSpec } from '@dc/shared/orders/order';
import type { JournalReader } from '../journal/journal.ts';
import type { Provisioner } from '../provisioners/provisioner.ts';

/** The lane of a contract: what was ordered says which, however far the work on it has got. */
export const laneOn =
  (journal: Pick<JournalReader, 'contract'>, provisioner: Pick<Provisioner, 'kind' | 'laneOf'>) =>
  (contractId: string): string => {
    if (provisioner.laneOf === undefined) return provisioner.kind;
    const orders = journal.contract(contractId)?.orders ?? [];
    const specs = orders.flatMap(({ kind, payload: { spec } }) =>
      kind === 'provision' && spec !== undefined && isProvisionSpec(spec) ? [spec] : [],
    );
    const [spec] = specs;
    if (spec === undefined) return provisioner.kind;
    const { cpu, memory_mb: memoryMb, disk_gb: diskGb, operating_system: operatingSystem } = spec;
    return provisioner.laneOf({ cpu, memoryMb, diskGb, operatingSystem });
  };
