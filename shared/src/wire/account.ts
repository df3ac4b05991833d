/** Accounts, their keys and sessions on the wire. */
import { Type, type Static } from 'typebox';
import { closed, nullable, plainText, PublicKey, Timestamp } from './schema-parts.ts';

export const Username = Type.String({ pattern: '^[a-z0-9][a-z0-9._-]{2,31}$' });
const Label = plainText({ maxLength: 64 });

export const AccountKey = closed({ public_key: PublicKey, label: Type.String(), added_at: Timestamp });
export const Account = closed({
  pubkey: PublicKey,
  username: nullable(Type.String()),
  keys: Type.Array(AccountKey),
  created_at: Timestamp,
});
export type WireAccount = Static<typeof Account>;

export const CreateAccount = closed({
  public_key: PublicKey,
  username: Type.Optional(Username),
  email: Type.Optional(
    Type.String({ maxLength: 254, pattern: '^[^@\\s\\p{C}]+@[^@\\s\\p{C}]+\\.[^@\\s\\p{C}]+$' }),
  ),
});

export const AddKey = closed({
  public_key: PublicKey,
  label: Type.Optional(Label),
  proof: Type.String({
    pattern: '^[0-9a-f]{128}$',
    description:
      'The new key’s Ed25519 signature, in hex, over the UTF-8 text "dc-add-key\\n<account pubkey>\\n<new key>"',
  }),
});

/** The text that a new key signs to prove that its holder wants it in that account. */
export const addKeyText = (accountKey: string, newKey: string): string =>
  `dc-add-key\n${accountKey}\n${newKey}`;

export const CreateChallenge = closed({ public_key: PublicKey });
export const Challenge = closed({ challenge: Type.String(), expires_at: Timestamp });
export const CreateSession = closed({
  public_key: PublicKey,
  challenge: Type.String({ maxLength: 200 }),
  signature: Type.String({
    pattern: '^[0-9a-f]{128}$',
    description: 'Ed25519 signature, in hex, over the UTF-8 text "dc-login\\n<authority>\\n<challenge>"',
  }),
});
export const Session = closed({ account: Account, expires_at: Timestamp });

/** The text that a key signs to log in. The authority keeps another site from passing the challenge on. */
export const loginText = (authority: string, challenge: string): string =>
  `dc-login\n${authority}\n${challenge}`;
