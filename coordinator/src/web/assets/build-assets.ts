/**
 * Builds what the pages load: the browser modules as bundles, the style sheet, the icon; each under a name with its
 * content's hash, so that browsers keep it for ever. The release keeps the result in a folder; a checkout builds in
 * memory when the first page is asked for. Only this file needs esbuild, which a release does not have.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import type { Metafile, Plugin } from 'esbuild';
import type { PageAssets } from '../pages/layout.ts';

/** One file that pages load. */
export interface Asset {
  /** File name with the hash of its content. */
  name: string;
  mediaType: string;
  bytes: Buffer;
  gzip: Buffer;
  brotli: Buffer;
}

/** All of them, and under what names the pages ask for them. */
export interface BuiltAssets {
  pageAssets: PageAssets;
  assets: Asset[];
}

/** Where assets are served. */
export const ASSETS_PATH = '/assets/';
export const MANIFEST_NAME = 'manifest.json';

const WEB_FOLDER = path.join(import.meta.dirname, '..');
const ENTRIES = ['page', 'login', 'rent', 'contract', 'wallet', 'invoices', 'admin'];
const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** The media type of an asset by its name. */
export function mediaTypeOf(name: string): string {
  return MEDIA_TYPES[path.extname(name)] ?? 'application/octet-stream';
}

/** Builds everything in memory, in some 50 ms with `quick` compression. */
export async function bundleAssets(compression: 'quick' | 'best'): Promise<BuiltAssets> {
  const esbuild = await import('esbuild');
  const result = await esbuild.build({
    absWorkingDir: WEB_FOLDER,
    entryPoints: [...ENTRIES.map((name) => `browser/${name}.ts`), 'page.css'],
    outdir: 'out', // Nothing is written there; names are relative to it.
    entryNames: '[name]-[hash]',
    chunkNames: 'chunk-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    charset: 'utf8',
    legalComments: 'none',
    metafile: true,
    write: false,
    logLevel: 'silent',
    plugins: [noSideEffects],
  });
  // esbuild's helper process would stay for the next build, and there is none.
  await esbuild.stop();
  const icon = await readFile(path.join(WEB_FOLDER, 'icon.svg'));
  const iconName = `icon-${createHash('sha256').update(icon).digest('hex').slice(0, 8)}.svg`;
  const files = result.outputFiles.map(({ path: file, contents }) => ({
    name: path.basename(file),
    bytes: Buffer.from(contents),
  }));
  return {
    pageAssets: namePageAssets(result.metafile, iconName),
    assets: await Promise.all(
      [...files, { name: iconName, bytes: icon }].map((file) => compress(file, compression)),
    ),
  };
}

/** Builds everything into `folder`, as `loadAssets` reads it. For the release. */
export async function buildAssets(folder: string): Promise<void> {
  const { pageAssets, assets } = await bundleAssets('best');
  await mkdir(folder, { recursive: true });
  for (const asset of assets) {
    await writeFile(path.join(folder, asset.name), asset.bytes);
    await writeFile(path.join(folder, `${asset.name}.gz`), asset.gzip);
    await writeFile(path.join(folder, `${asset.name}.br`), asset.brotli);
  }
  const names = assets.map(({ name }) => name);
  await writeFile(path.join(folder, MANIFEST_NAME), JSON.stringify({ pageAssets, names }));
}

/**
 * Our modules do nothing when they are imported (only the entries do), so that esbuild may leave out what is not
 * used: formatting money would bring the whole table of error codes otherwise.
 */
const noSideEffects: Plugin = {
  name: 'no-side-effects',
  setup(build) {
    build.onResolve({ filter: /.*/ }, async ({ path: wanted, pluginData, ...args }) => {
      if (args.kind === 'entry-point' || pluginData === 'resolving') return undefined;
      const result = await build.resolve(wanted, { ...args, pluginData: 'resolving' });
      return { ...result, sideEffects: false };
    });
  },
};

function namePageAssets(metafile: Metafile, iconName: string): PageAssets {
  const address = (file: string): string => ASSETS_PATH + path.basename(file);
  const outputOf = (entryPoint: string): string => {
    const found = Object.entries(metafile.outputs).find(([, output]) => output.entryPoint === entryPoint);
    if (found === undefined) throw new Error(`esbuild made nothing of ${entryPoint}`);
    return found[0];
  };
  const importsOf = (file: string): string[] =>
    (metafile.outputs[file]?.imports ?? [])
      .filter(({ kind, external }) => kind === 'import-statement' && external !== true)
      .flatMap((imported) => [imported.path, ...importsOf(imported.path)]);
  const scripts = ENTRIES.map((name) => {
    const file = outputOf(`browser/${name}.ts`);
    return [name, { file: address(file), imports: [...new Set(importsOf(file))].map(address) }] as const;
  });
  return {
    style: address(outputOf('page.css')),
    icon: ASSETS_PATH + iconName,
    scripts: Object.fromEntries(scripts),
  };
}

async function compress(
  file: { name: string; bytes: Buffer },
  compression: 'quick' | 'best',
): Promise<Asset> {
  const quality = compression === 'best' ? constants.BROTLI_MAX_QUALITY : 5;
  return {
    ...file,
    mediaType: mediaTypeOf(file.name),
    gzip: await promisify(gzip)(file.bytes, { level: 9 }),
    brotli: await promisify(brotliCompress)(file.bytes, {
      params: { [constants.BROTLI_PARAM_QUALITY]: quality },
    }),
  };
}
