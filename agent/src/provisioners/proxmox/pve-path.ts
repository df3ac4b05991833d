/** PURE: paths of the Proxmox API. What is put into one can neither climb out of it nor add to it. */

/** A path below /api2/json. Only `pvePath` makes them. */
export type PvePath = string & { readonly __pvePath: true };

/** `pvePath\`/nodes/${node}/qemu/${vmid}/config\``: every value is escaped as one segment. `.` and `..` are refused. */
export function pvePath(strings: TemplateStringsArray, ...values: readonly (string | number)[]): PvePath {
  let path = strings[0] ?? '';
  for (const [index, value] of values.entries()) {
    const segment = String(value);
    if (segment === '' || segment === '.' || segment === '..')
      throw new RangeError(`${JSON.stringify(segment)} cannot be a part of a path`);
    path += encodeURIComponent(segment) + (strings[index + 1] ?? '');
  }
  return path as PvePath;
}
