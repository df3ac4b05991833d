/**
 * Keeps the account's key in this browser: as a CryptoKey that cannot be read out, in IndexedDB. Where the browser
 * has no such thing (private windows, old ones), nothing is kept, and signing in takes the words again.
 */
import type { BoxKey } from '@dc/shared/crypto/sealed-box';
import { storedAccountKey, type AccountKey, type StoredKey } from '../identity/account-key.ts';

const DATABASE = 'dc';
const STORE = 'keys';
const RECORD = 'account';

interface KeptKey {
  publicKey: string;
  stored: StoredKey;
  /** Missing where it was kept by an earlier version of this page. */
  box?: BoxKey | null;
  name: string;
}

/** The key that was kept, with the name that its account had. */
export interface KnownKey {
  key: AccountKey;
  name: string;
}

/** Keeps `key`, in place of any other. */
export async function keepKey(key: AccountKey, name: string): Promise<void> {
  if (key.stored === null) return;
  const kept: KeptKey = { publicKey: key.publicKey, stored: key.stored, box: key.box, name };
  await withStore('readwrite', (store) => store.put(kept, RECORD));
}

/** The key that was kept; null for none. */
export async function findKey(): Promise<KnownKey | null> {
  const kept = (await withStore('readonly', (store) => store.get(RECORD))) as KeptKey | undefined | null;
  if (kept === undefined || kept === null) return null;
  return { key: storedAccountKey(kept.publicKey, kept.stored, kept.box ?? null), name: kept.name };
}

/** Forgets it. */
export async function forgetKey(): Promise<void> {
  await withStore('readwrite', (store) => store.delete(RECORD));
}

/** Runs one request; null where the browser keeps nothing for this page. */
async function withStore(
  mode: IDBTransactionMode,
  run: (store: IDBObjectStore) => IDBRequest,
): Promise<unknown> {
  const database = await openDatabase();
  if (database === null) return null;
  try {
    return await settled(run(database.transaction(STORE, mode).objectStore(STORE)));
  } finally {
    database.close();
  }
}

async function openDatabase(): Promise<IDBDatabase | null> {
  try {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    return (await settled(request)) as IDBDatabase;
  } catch {
    return null; // Storage is switched off. The key then lasts as long as the page.
  }
}

function settled(request: IDBRequest): Promise<unknown> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => {
      resolve(request.result);
    };
    request.onerror = () => {
      reject(request.error ?? new Error('the browser could not store the key'));
    };
  });
}
