/** ICRC-1 accounts in their textual form: a principal, and for one that is not its main account a checksum and a subaccount. */
import { Principal } from '@icp-sdk/core/principal';
import { AppError } from '@dc/shared/errors';
import { fromHex } from '@dc/shared/ids';
import { crc32 } from 'node:zlib';

/** As ledgers take it. */
export interface Icrc1Account {
  owner: Principal;
  subaccount: [] | [Uint8Array];
}

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
const SUBACCOUNT_BYTES = 32;

/** Reads an account. Throws REQUEST_INVALID for what is none, or is not written as the standard says. */
export function parseAccount(text: string): Icrc1Account {
  const [, owner = '', checksum, subaccount] =
    /^([a-z0-9-]+?)(?:-([a-z2-7]{1,7})\.([1-9a-f][0-9a-f]{0,63}))?$/.exec(text) ?? [];
  const principal = readPrincipal(owner);
  if (principal === null || principal.isAnonymous()) throw noAccount();
  if (checksum === undefined || subaccount === undefined) return { owner: principal, subaccount: [] };
  const bytes = fromHex(subaccount.padStart(2 * SUBACCOUNT_BYTES, '0'));
  if (checksumOf(principal, bytes) !== checksum) throw noAccount();
  return { owner: principal, subaccount: [bytes] };
}

/** Whether two are the same. */
export function isSameAccount(a: Icrc1Account, b: Icrc1Account): boolean {
  const subaccountOf = ({ subaccount: [bytes] }: Icrc1Account): Buffer =>
    Buffer.from(bytes ?? new Uint8Array(SUBACCOUNT_BYTES));
  return a.owner.toText() === b.owner.toText() && subaccountOf(a).equals(subaccountOf(b));
}

function readPrincipal(text: string): Principal | null {
  try {
    return Principal.fromText(text);
  } catch {
    // The library's own words are about its insides.
    return null;
  }
}

function checksumOf(owner: Principal, subaccount: Uint8Array): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(Buffer.concat([owner.toUint8Array(), subaccount])));
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{1,5}/g) ?? [])
    .map((five) => BASE32[Number.parseInt(five.padEnd(5, '0'), 2)])
    .join('');
}

const noAccount = (): AppError =>
  new AppError(
    'REQUEST_INVALID',
    'This is no ICRC-1 account: a principal, or principal-checksum.subaccount.',
    {
      fields: [{ pointer: '/body/account', detail: 'must be an ICRC-1 account in its textual form' }],
    },
  );
