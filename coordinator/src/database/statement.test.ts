import { describe, expect, it } from 'vitest';
import { statement } from './statement.ts';
import { openTestDatabase } from './testing/test-database.ts';

describe('a statement', () => {
  it('takes its values as they are, whatever their text, and answers rows', async () => {
    const database = await openTestDatabase();
    const text = `'; drop table nonces; --`;
    const { rows } = await statement<{ text: string; whole: number; none: null; amount_e9s: bigint }>`
      select ${text} as text, ${7} as whole, ${null} as none, ${2n ** 60n} as amount_e9s`.execute(
      database.read,
    );
    expect(rows).toEqual([{ text, whole: 7, none: null, amount_e9s: 2n ** 60n }]);
  });

  it('gives each run its own values', async () => {
    const database = await openTestDatabase();
    const ask = async (number: number): Promise<number | undefined> =>
      (await statement<{ number: number }>`select ${number} as number`.execute(database.read)).rows[0]
        ?.number;
    expect(await Promise.all([ask(1), ask(2), ask(3)])).toEqual([1, 2, 3]);
  });

  it('belongs to the write that it runs in, and says how much it changed', async () => {
    const database = await openTestDatabase();
    const add = (key: string) => statement`
      insert into nonces (public_key, nonce, expires_at) values (${key}, 'n', 1) on conflict do nothing`;
    const changed = await database.write(async (trx) => {
      const first = await add('a').execute(trx);
      const again = await add('a').execute(trx);
      return [first.numAffectedRows, again.numAffectedRows];
    });
    expect(changed).toEqual([1n, 0n]);
    const failed = database.write(async (trx) => {
      await add('b').execute(trx);
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    const { rows } = await statement`select 1 from nonces where public_key = ${'b'}`.execute(database.read);
    expect(rows).toEqual([]);
  });

  it('that would write is refused by the read connection', async () => {
    const database = await openTestDatabase();
    await expect(statement`delete from nonces`.execute(database.read)).rejects.toThrow('readonly');
  });
});
