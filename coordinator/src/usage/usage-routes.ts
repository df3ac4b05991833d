/** The calls on usage: events come in from agents or providers, and the parties see what comes of them. */
import { AppError } from '@dc/shared/errors';
import { closed, Uuid } from '@dc/shared/wire/schema-parts';
import { ReportUsage, Usage, UsageReported } from '@dc/shared/wire/usage';
import type { Context } from '../context.ts';
import { maySee } from '../contracts/contract-rules.ts';
import { findContract, type ContractRow } from '../contracts/contract-store.ts';
import type { Reader } from '../database/database.ts';
import type { Principal } from '../http/principal.ts';
import { readRoute, writeRoute, type Route } from '../http/route.ts';
import { takeUsage } from './take-usage.ts';
import { isCapReached, viewUsage } from './usage-view.ts';

const ContractParams = closed({ id: Uuid });
// 500 events of less than 300 bytes each.
const BODY_BYTES = 262_144;

export function usageRoutes({ db }: Context): Route[] {
  return [
    writeRoute({
      method: 'POST',
      url: '/api/v1/contracts/:id/usage',
      permission: ['agent:health_check', 'provider'],
      summary: 'Reports up to 500 usage events of the contract’s instance, in any order; each counts once.',
      schema: { params: ContractParams, body: ReportUsage, response: UsageReported },
      errors: ['CONTRACT_NOT_FOUND', 'CONTRACT_STATE'],
      bodyLimitBytes: BODY_BYTES,
      idempotency: 'optional',
      async handle({ params, body, principal, now }, trx) {
        const contract = await visibleContract(trx, params.id, principal);
        const reporter = reporterOf(principal, contract);
        if (contract.active_at === null)
          throw new AppError('CONTRACT_STATE', 'Nothing is used of a contract that was not active yet.');
        const results = await takeUsage(trx, contract, { events: body.events, reporter, now });
        return { status: 200, body: { contract_id: contract.id, results, cap_reached: false } };
      },
      // Reading a whole period is nothing to hold up other writers with.
      async complete(body, { now }) {
        return { ...body, cap_reached: await isCapReached(db.read, body.contract_id, now) };
      },
    }),
    readRoute({
      method: 'GET',
      url: '/api/v1/contracts/:id/usage',
      permission: ['account', 'agent:fetch_contracts'],
      summary:
        'What was used in the billing period, what it costs beyond the rent, and what earlier ones cost.',
      schema: { params: ContractParams, response: Usage },
      errors: ['CONTRACT_NOT_FOUND'],
      async handle({ params, principal, now }) {
        const contract = await visibleContract(db.read, params.id, principal);
        return { status: 200, body: await viewUsage(db.read, contract, now) };
      },
    }),
  ];
}

/** The key that answers for the events. Throws PERMISSION_DENIED for anybody but the contract's agent or provider. */
function reporterOf(principal: Principal, contract: ContractRow): string {
  if (principal.kind === 'agent' && principal.publicKey === contract.agent_key) return principal.publicKey;
  if (principal.kind === 'account' && principal.account === contract.provider_pubkey)
    return principal.account;
  throw new AppError('PERMISSION_DENIED', 'Only the contract’s own agent and its provider report its usage.');
}

async function visibleContract(reader: Reader, id: string, principal: Principal): Promise<ContractRow> {
  const row = await findContract(reader, id);
  if (row === null || !maySee(principal, row)) throw new AppError('CONTRACT_NOT_FOUND');
  return row;
}
