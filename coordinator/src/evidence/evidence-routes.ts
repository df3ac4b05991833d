/** The paths on which agents deliver records, and the export that anyone can check. */
import { Type } from 'typebox';
import { AppError } from '@dc/shared/errors';
import type { RecordKind } from '@dc/shared/evidence/record';
import {
  RecordAnswer,
  RecordsAnswer,
  SubmitRecord,
  SubmitRecords,
  type WireRecordResult,
} from '@dc/shared/wire/agent';
import { closed, PublicKey, Uuid } from '@dc/shared/wire/schema-parts';
import type { Context } from '../context.ts';
import { agentOf, type Permission } from '../http/principal.ts';
import { streamRoute, writeRoute, type Route } from '../http/route.ts';
import { noticeEvidence } from '../safe-mode/notice-evidence.ts';
import { streamEvidence } from './evidence-export.ts';
import { parseRecords, takeRecords } from './record-service.ts';

const RECORD_ERRORS = ['RECORD_INVALID', 'RECORD_GAP', 'RECORD_FORK'] as const;
const ContractParams = closed({ id: Uuid });

// 500 records of a few hundred bytes each.
const BATCH_BODY_BYTES = 1_048_576;

export function evidenceRoutes(context: Context): Route[] {
  return [
    writeRoute({
      method: 'POST',
      url: '/api/v1/agents/records',
      permission: 'agent:provision',
      summary: 'The agent’s outbox: up to 500 records of any kind, in order.',
      schema: { body: SubmitRecords, response: RecordsAnswer },
      errors: RECORD_ERRORS,
      bodyLimitBytes: BATCH_BODY_BYTES,
      idempotency: 'none', // A record that is held already is a success.
      prepare: ({ body, signer }) => parseRecords(body.records, signer),
      async handle({ principal, body }, trx, records) {
        const agent = agentOf(principal);
        await noticeEvidence(context, trx, agent, body.held);
        const outcome = await takeRecords(context, trx, agent, records);
        return 'refused' in outcome ? outcome : { status: 200, body: outcome.taken };
      },
    }),
    recordRoute(context, {
      method: 'PUT',
      url: '/api/v1/provider/rental-requests/:id/provisioning',
      permission: 'agent:provision',
      kinds: ['provisioned', 'failed'],
    }),
    recordRoute(context, {
      method: 'PUT',
      url: '/api/v1/provider/rental-requests/:id/password',
      permission: 'agent:provision',
      kinds: ['password_reset', 'failed'],
    }),
    recordRoute(context, {
      method: 'POST',
      url: '/api/v1/contracts/:id/health',
      permission: 'agent:health_check',
      kinds: ['health'],
    }),
    streamRoute({
      method: 'GET',
      url: '/api/v1/providers/:pubkey/evidence',
      permission: 'public',
      summary: 'Every record of the provider’s agents and the checkpoints over them, as JSON lines.',
      schema: { params: closed({ pubkey: PublicKey }), response: Type.String() },
      errors: ['PROVIDER_NOT_FOUND'],
      produces: 'application/jsonl',
      async handle(input) {
        await streamEvidence(context, input, input.params.pubkey);
      },
    }),
  ];
}

interface RecordPath {
  method: 'PUT' | 'POST';
  url: string;
  permission: Permission;
  kinds: readonly RecordKind[];
}

/** A path that takes one record, of the kinds and about the contract that the path names. */
function recordRoute(context: Context, { method, url, permission, kinds }: RecordPath): Route {
  return writeRoute({
    method,
    url,
    permission,
    summary: `Delivers one record: ${kinds.join(' or ')}.`,
    schema: { params: ContractParams, body: SubmitRecord, response: RecordAnswer },
    errors: RECORD_ERRORS,
    idempotency: 'none',
    prepare: ({ params, body, signer }) => {
      const [record] = parseRecords([body.record], signer);
      if (record?.payload.contract_id !== params.id) {
        throw new AppError('RECORD_INVALID', 'The record is about another contract than the path.');
      }
      if (!kinds.includes(record.payload.kind)) {
        throw new AppError('RECORD_INVALID', `This path takes records of the kind ${kinds.join(' or ')}.`);
      }
      return record;
    },
    async handle({ principal }, trx, record) {
      const outcome = await takeRecords(context, trx, agentOf(principal), [record]);
      if ('refused' in outcome) return outcome;
      const { results, checkpoint } = outcome.taken;
      return { status: 200, body: { result: results[0] as WireRecordResult, checkpoint } };
    },
  });
}
