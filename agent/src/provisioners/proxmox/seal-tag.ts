/**
 * The seal as a tag, so that one list of the cluster says which VMs are ours. Tags are lower case, so the code in it is
 * in hex. It only finds: whoever touches a VM reads the seal in its description first. PURE.
 */
const TAG = /^dc1\.([a-z0-9-]{1,64})\.([a-z0-9-]{1,64})\.([0-9a-f]{64})$/;

/** The tag of a seal; null where it has letters that Proxmox would change. */
export function sealTag(seal: string): string | null {
  const [version = '', contractId = '', environment = '', code = ''] = seal.split('.');
  const tag = `${version}.${contractId}.${environment}.${Buffer.from(code, 'base64url').toString('hex')}`;
  return TAG.test(tag) ? tag : null;
}

/** The seal that a VM's tags hold; null where there is none, or more than one. */
export function sealOfTags(tags: string | undefined): string | null {
  const found = (tags ?? '').split(/[;, ]+/).flatMap((tag) => {
    const [, contractId, environment, code] = TAG.exec(tag) ?? [];
    if (contractId === undefined || environment === undefined || code === undefined) return [];
    return [`dc1.${contractId}.${environment}.${Buffer.from(code, 'hex').toString('base64url')}`];
  });
  return found.length === 1 ? (found[0] ?? null) : null;
}

/** Whether one of a VM's tags claims to be a seal, a good one or not. */
export const hasSealTag = (tags: string | undefined): boolean => /(?:^|[;, ])dc1\./.test(tags ?? '');
