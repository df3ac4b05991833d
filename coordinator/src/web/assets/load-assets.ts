/** Brings the assets into memory: from the folder that the release holds, else built from the sources. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { PageAssets } from '../pages/layout.ts';
import { mediaTypeOf, type Asset, type BuiltAssets } from './build-assets.ts';

/** The assets by name, ready to be served. */
export interface LoadedAssets {
  pageAssets: PageAssets;
  byName: ReadonlyMap<string, Asset>;
}

/** Where the release keeps the assets: beside the program's one file. */
const RELEASE_FOLDER = path.join(import.meta.dirname, 'web-assets');

/** Loads them from `folder` when it is there; builds them otherwise. */
export async function loadAssets(folder = RELEASE_FOLDER): Promise<LoadedAssets> {
  const { pageAssets, assets } = (await readBuilt(folder)) ?? (await bundle());
  return { pageAssets, byName: new Map(assets.map((asset) => [asset.name, asset])) };
}

async function bundle(): Promise<BuiltAssets> {
  const { bundleAssets } = await import('./build-assets.ts');
  return bundleAssets('quick');
}

async function readBuilt(folder: string): Promise<BuiltAssets | null> {
  let manifest: string;
  try {
    manifest = await readFile(path.join(folder, 'manifest.json'), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null; // A checkout: built below.
    throw error;
  }
  const { pageAssets, names } = JSON.parse(manifest) as { pageAssets: PageAssets; names: string[] };
  const read = async (name: string): Promise<Asset> => ({
    name,
    mediaType: mediaTypeOf(name),
    bytes: await readFile(path.join(folder, name)),
    gzip: await readFile(path.join(folder, `${name}.gz`)),
    brotli: await readFile(path.join(folder, `${name}.br`)),
  });
  return { pageAssets, assets: await Promise.all(names.map(read)) };
}
