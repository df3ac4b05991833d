/** The calls that change an instance's password or key, and the one that reads the new password. */
import { AppError } from '@dc/shared/errors';
import { parseSshPublicKey } from '@dc/shared/ssh-public-key';
import { closed, Uuid } from '@dc/shared/wire/schema-parts';
import { Contract, Credentials, ResetPassword, RotateSshKey } from '@dc/shared/wire/contract';
import type { Context } from '../context.ts';
import { maySee } from '../contracts/contract-rules.ts';
import { findContract, type ContractRow } from '../contracts/contract-store.ts';
import { viewRow } from '../contracts/contract-view.ts';
import type { Reader } from '../database/database.ts';
import { agentName, type Principal } from '../http/principal.ts';
import { readRoute, writeRoute, type Route } from '../http/route.ts';
import { requestChange } from './credential-service.ts';
import { viewPassword } from './credential-view.ts';

const ContractParams = closed({ id: Uuid });
const BASE = '/api/v1/contracts/:id';

export function credentialRoutes(context: Context): Route[] {
  return [
    writeRoute({
      method: 'POST',
      url: `${BASE}/reset-password`,
      permission: ['account', 'agent:provision'],
      summary:
        'Orders a new password for the instance, sealed to the keys of the renter’s account. Also for the provider ' +
        'of the contract and the agent that runs it, who never see it.',
      schema: { params: ContractParams, body: ResetPassword, response: Contract },
      errors: ['CONTRACT_NOT_FOUND', 'CONTRACT_STATE', 'CREDENTIALS_PENDING'],
      idempotency: 'optional',
      async handle({ params, principal, now }, trx) {
        const contract = await visibleContract(trx, params.id, principal);
        const actor = actorOf(principal, contract);
        if (actor === null)
          throw new AppError(
            'PERMISSION_DENIED',
            'Only the renter or the provider of a contract can do this.',
          );
        const after = await requestChange(context, trx, contract, { kind: 'reset_password', actor });
        return { status: 200, body: await viewRow(trx, after, now) };
      },
    }),
    writeRoute({
      method: 'POST',
      url: `${BASE}/rotate-ssh-key`,
      permission: 'account',
      summary: 'Orders that another SSH key takes the place of the one that the contract has.',
      schema: { params: ContractParams, body: RotateSshKey, response: Contract },
      errors: ['CONTRACT_NOT_FOUND', 'CONTRACT_STATE', 'CREDENTIALS_PENDING', 'SSH_KEY_INVALID'],
      idempotency: 'optional',
      prepare: ({ body }) => parseSshPublicKey(body.ssh_public_key),
      async handle({ params, principal, now }, trx, key) {
        const contract = await visibleContract(trx, params.id, principal);
        assertRenter(principal, contract);
        const request = { kind: 'rotate_ssh_key', actor: 'renter', key } as const;
        const after = await requestChange(context, trx, contract, request);
        return { status: 200, body: await viewRow(trx, after, now) };
      },
    }),
    readRoute({
      method: 'GET',
      url: `${BASE}/credentials`,
      permission: 'account',
      summary: 'The latest password, in one sealed box for each key of the renter’s account, for seven days.',
      schema: { params: ContractParams, response: Credentials },
      errors: ['CONTRACT_NOT_FOUND', 'CREDENTIALS_NOT_FOUND', 'CREDENTIALS_EXPIRED'],
      async handle({ params, principal, now }) {
        const contract = await visibleContract(context.db.read, params.id, principal);
        assertRenter(principal, contract);
        return { status: 200, body: await viewPassword(context.db.read, contract, now) };
      },
    }),
  ];
}

/** How the history names whoever may reset the password; null for everybody else. */
function actorOf(principal: Principal, contract: ContractRow): string | null {
  if (principal.kind === 'agent')
    return principal.publicKey === contract.agent_key ? agentName(principal) : null;
  if (principal.kind !== 'account') return null;
  if (principal.account === contract.renter_pubkey) return 'renter';
  return principal.account === contract.provider_pubkey ? 'provider' : null;
}

function assertRenter(principal: Principal, contract: ContractRow): void {
  if (principal.kind === 'account' && principal.account === contract.renter_pubkey) return;
  throw new AppError('PERMISSION_DENIED', 'Only the renter of a contract can do this.');
}

/** The contract, if the caller may see it; one that is not theirs looks like one that is not there. */
async function visibleContract(reader: Reader, id: string, principal: Principal): Promise<ContractRow> {
  const row = await findContract(reader, id);
  if (row === null || !maySee(principal, row)) throw new AppError('CONTRACT_NOT_FOUND');
  return row;
}
