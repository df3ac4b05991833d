/**
 * A first look at a pasted SSH public key, in the browser, so that the renter hears at once what is wrong with it.
 * The coordinator reads it again by shared/ssh-public-key.ts, and that is what counts.
 */

/** What is wrong with the pasted text. */
export interface SshKeyProblem {
  text: string;
  /** A private key: it must leave the page at once. */
  isPrivate: boolean;
}

const TYPES = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521', 'ssh-rsa'];
const RSA_BITS_MIN = 2048;
const LENGTH_MAX = 8192;

/** The problem with `input`, or null where it looks like a usable public key. */
export function sshKeyProblem(input: string): SshKeyProblem | null {
  const line = input.trim();
  if (/PRIVATE KEY|PuTTY-User-Key-File/.test(line)) {
    const text =
      'This is a private key. It was not sent, and was removed from this field. Paste the public key: the file that ends in .pub.';
    return { text, isPrivate: true };
  }
  const problem = (text: string): SshKeyProblem => ({ text, isPrivate: false });
  if (line === '') return problem('Paste a public key, or make one here.');
  if (/^---- BEGIN SSH2/.test(line)) {
    return problem('This is the SSH2 format. Turn it into one line with: ssh-keygen -i -f FILE');
  }
  if (/[\r\n]/.test(line)) return problem('Paste one key, on one line.');
  if (line.length > LENGTH_MAX) return problem('This is too long for a public key.');
  const [type = '', base64 = ''] = line.split(/ +/);
  if (type === 'ssh-dss') return problem('DSA keys are too weak. Make a new one with: ssh-keygen -t ed25519');
  if (type.startsWith('sk-')) {
    return problem('Keys on security tokens are not taken yet. Use an ssh-ed25519 key.');
  }
  if (!TYPES.includes(type)) {
    return problem('A public key begins with its type, such as “ssh-ed25519 AAAA…”.');
  }
  const blob = decode(base64);
  if (blob === null || innerType(blob) !== type) {
    return problem('The key is incomplete: copy the whole line, from its type to its end.');
  }
  if (type === 'ssh-rsa' && rsaBits(blob) < RSA_BITS_MIN) {
    return problem('This RSA key is shorter than 2,048 bits. Make a new one with: ssh-keygen -t ed25519');
  }
  return null;
}

function decode(base64: string): Uint8Array | null {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    return null; // What is not base64 is an expected answer here.
  }
}

/** The fields of a blob; as far as they are whole. */
function fieldsOf(blob: Uint8Array): Uint8Array[] {
  const fields: Uint8Array[] = [];
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  let offset = 0;
  while (offset + 4 <= blob.length) {
    const end = offset + 4 + view.getUint32(offset);
    if (end > blob.length) break;
    fields.push(blob.subarray(offset + 4, end));
    offset = end;
  }
  return offset === blob.length ? fields : [];
}

function innerType(blob: Uint8Array): string | null {
  const [type] = fieldsOf(blob);
  return type === undefined ? null : String.fromCharCode(...type);
}

function rsaBits(blob: Uint8Array): number {
  const modulus = fieldsOf(blob)[2] ?? new Uint8Array(0);
  const first = modulus.findIndex((byte) => byte !== 0);
  return first < 0 ? 0 : (modulus.length - first - 1) * 8 + (32 - Math.clz32(modulus[first] ?? 0));
}
