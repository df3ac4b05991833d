/** Changes driver options in a configuration that is there, line by line: whatever else stands in it is the operator's. */
import { isDeepStrictEqual } from 'node:util';
import { AppError } from '@dc/shared/errors';
import { toToml } from '../../config/config-template.ts';

type Options = Readonly<Record<string, unknown>>;

/** The options that stand there otherwise than they are wanted. */
export const differingOptions = (found: Options, wanted: Options): string[] =>
  Object.keys(wanted).filter((key) => !isDeepStrictEqual(found[key], wanted[key]));

/** The text with these options as they are wanted. SETUP_STEP_FAILED where one of them has no line of its own. */
export function replaceOptions(
  text: string,
  { keys, wanted }: { keys: readonly string[]; wanted: Options },
): string {
  const [before = '', ...rest] = text.split(/^(?=\[provisioner\.proxmox\]$)/m);
  let table = rest.join('');
  for (const key of keys) {
    const line = `${key} = ${toToml(wanted[key])}`;
    const found = new RegExp(`^(# )?${key} =.*$`, 'm');
    if (!found.test(table))
      throw new AppError(
        'SETUP_STEP_FAILED',
        `The configuration has no line for ${key} below [provisioner.proxmox].`,
        {
          remedy: `Write it there yourself: ${line}`,
        },
      );
    table = table.replace(found, () => line);
  }
  return before + table;
}
