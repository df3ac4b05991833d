/** Collects the licences of the packages that a release carries. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

interface Manifest {
  name: string;
  version: string;
  license?: string;
  /** How old packages say it. */
  licenses?: { type: string }[];
}

/**
 * Writes `target/THIRD-PARTY-LICENCES.txt` for every package of node_modules that `inputs` (paths from `root`) belong
 * to. Throws where a package names no licence: it may not be shipped.
 */
export function writeLicences(root: string, inputs: readonly string[], target: string): void {
  const folders = inputs
    .map((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0])
    .filter((folder) => folder !== undefined && !folder.startsWith('node_modules/@dc/'));
  const texts = [...new Set(folders)].sort().map((folder) => describe(path.join(root, folder ?? '')));
  writeFileSync(path.join(target, 'THIRD-PARTY-LICENCES.txt'), texts.join(`\n${'-'.repeat(80)}\n\n`));
}

function describe(folder: string): string {
  const manifest = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as Manifest;
  const { name, version } = manifest;
  const license = manifest.license ?? manifest.licenses?.map(({ type }) => type).join(' OR ');
  if (license === undefined) throw new Error(`${name} names no licence`);
  const file = readdirSync(folder)
    .sort()
    .find((entry) => /^licen[cs]e/i.test(entry));
  const text =
    file === undefined
      ? 'The package holds no text of its licence.'
      : readFileSync(path.join(folder, file), 'utf8').trim();
  return `${name} ${version} (${license})\n\n${text}\n`;
}
