/** Finds the vendor's published descriptions where they lie beside the repository. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { OfficialSchema } from '../official-schema/official-schema.ts';

const FILES: Readonly<Record<string, string>> = {
  '7.4': 'proxmox-ve-7.4-2.json',
  '8.4': 'proxmox-ve-8.4.2.json',
  '9.1': 'proxmox-ve-9.1.3.json',
};
const FOLDER = join(import.meta.dirname, '../../../../../shared/vendor-apis');

/** Why there is nothing to check against; null where there is. */
export function whyNoOfficialSchema(): string | null {
  return Object.values(FILES).every((file) => existsSync(join(FOLDER, file)))
    ? null
    : 'the published descriptions are not beside the repository';
}

/** The description of a version; undefined where the files are not there. */
export async function findOfficialSchema(version: string): Promise<OfficialSchema | undefined> {
  const file = FILES[version];
  if (file === undefined || !existsSync(join(FOLDER, file))) return undefined;
  return OfficialSchema.read(join(FOLDER, file));
}
