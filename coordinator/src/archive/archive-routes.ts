/** Reading back what is kept of a contract that ended long ago. */
import { AppError } from '@dc/shared/errors';
import { ArchivedContract } from '@dc/shared/wire/archive';
import { closed, Uuid } from '@dc/shared/wire/schema-parts';
import type { Context } from '../context.ts';
import { accountOf } from '../http/principal.ts';
import { readRoute, type Route } from '../http/route.ts';
import { findArchived } from './archive-store.ts';
import { viewArchived } from './archive-view.ts';

export function archiveRoutes({ db }: Context): Route[] {
  return [
    readRoute({
      method: 'GET',
      url: '/api/v1/contracts/:id/archive',
      permission: 'account',
      summary:
        'What is kept of a contract that ended long ago: its books, documents, and the hashes of its evidence.',
      schema: { params: closed({ id: Uuid }), response: ArchivedContract },
      errors: ['CONTRACT_NOT_FOUND'],
      async handle({ params, principal }) {
        const { account, isAdmin } = accountOf(principal);
        const row = await findArchived(db.read, params.id);
        const isParty = row !== null && (row.renter_pubkey === account || row.provider_pubkey === account);
        if (row === null || !(isParty || isAdmin))
          throw new AppError(
            'CONTRACT_NOT_FOUND',
            'There is no such contract in the archive, or it is not yours.',
          );
        return { status: 200, body: viewArchived(row) };
      },
    }),
  ];
}
