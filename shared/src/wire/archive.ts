/** What is kept of contracts that ended long ago, on the wire. */
import { Type, type Static } from 'typebox';
import { closed, MoneySchema, nullable, PublicKey, Timestamp, Uuid } from './schema-parts.ts';

const ArchiveBody = closed({
  id: Uuid,
  offering_id: Uuid,
  offering_title: Type.String(),
  renter_pubkey: PublicKey,
  provider_pubkey: PublicKey,
  state: Type.String(),
  payment_method: Type.String(),
  payment_status: Type.String(),
  duration_hours: Type.Integer(),
  total: MoneySchema,
  setup_fee: MoneySchema,
  created_at: Timestamp,
  paid_at: nullable(Timestamp),
  active_at: nullable(Timestamp),
  ended_at: nullable(Timestamp),
  history: Type.Array(
    closed({
      at: Timestamp,
      from: nullable(Type.String()),
      to: Type.String(),
      event: Type.String(),
      actor: Type.String(),
    }),
  ),
  ledger: Type.Array(closed({ cause: Type.String(), kind: Type.String(), at: Timestamp }), {
    description: 'The sets of postings, which stay in the ledger',
  }),
  documents: Type.Array(closed({ number: Type.String(), kind: Type.String(), sha256: Type.String() })),
  evidence: Type.Array(
    closed({
      agent: PublicKey,
      kind: Type.String(),
      count: Type.Integer(),
      first_seq: Type.Integer(),
      first_hash: Type.String(),
      last_seq: Type.Integer(),
      last_hash: Type.String(),
      sha256_of_hashes: Type.String({ description: 'Over the hashes in hex, in the order of `seq`' }),
    }),
    { description: 'The records about it, by agent and kind' },
  ),
});

export const ArchivedContract = closed({
  archived_at: Timestamp,
  delete_after: Timestamp,
  sha256: Type.String({ description: 'Of `contract` as it was written down' }),
  contract: ArchiveBody,
});
export type WireArchivedContract = Static<typeof ArchivedContract>;
