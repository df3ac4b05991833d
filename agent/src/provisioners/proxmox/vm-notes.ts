/**
 * What we write on a VM: the seal, the contract and the token in its description, where the operator reads them too.
 * Nothing in it is believed without the seal (I6). PURE.
 *
 * Proxmox keeps a description as comment lines of the configuration file and may add a line break at its end.
 */

/** What a description of ours says. */
export interface VmNotes {
  readonly seal: string;
  readonly contractId: string;
  readonly token: string;
}

const HEADING = 'Rented out by dc-agent. Leave this text alone: without it nothing will be done to this VM.';
const LINE = /^dc-(seal|contract|token): ([\x21-\x7e]{1,256})$/;

/** The description of a VM. */
export function writeNotes({ seal, contractId, token }: VmNotes): string {
  return [HEADING, '', `dc-seal: ${seal}`, `dc-contract: ${contractId}`, `dc-token: ${token}`].join('\n');
}

/** What a description says; null where it is not one of ours, or says something twice. */
export function readNotes(description: string | undefined): VmNotes | null {
  const found = new Map<string, string>();
  for (const line of (description ?? '').split('\n')) {
    const [, name, value] = LINE.exec(line.trimEnd()) ?? [];
    if (name === undefined || value === undefined) continue;
    if (found.has(name)) return null;
    found.set(name, value);
  }
  const [seal, contractId, token] = [found.get('seal'), found.get('contract'), found.get('token')];
  return seal === undefined || contractId === undefined || token === undefined
    ? null
    : { seal, contractId, token };
}
