import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildAssets, bundleAssets, type BuiltAssets } from './build-assets.ts';
import { loadAssets } from './load-assets.ts';

let folder = '';
let built: BuiltAssets;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'dc-assets-'));
  built = await bundleAssets('quick');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const textOf = (address: string): string =>
  built.assets.find(({ name }) => address.endsWith(name))!.bytes.toString();

describe('the assets', () => {
  it('are the same from the release’s folder as built in memory', async () => {
    await buildAssets(folder);
    const loaded = await loadAssets(folder);
    expect(loaded.pageAssets).toEqual(built.pageAssets);
    for (const { name, bytes, mediaType } of built.assets) {
      const asset = loaded.byName.get(name);
      expect(asset?.mediaType).toBe(mediaType);
      expect(asset?.bytes.equals(bytes)).toBe(true);
    }
    expect(loaded.byName.size).toBe(built.assets.length);
  });

  it('are built where the release’s folder is not there', async () => {
    const loaded = await loadAssets(path.join(folder, 'nowhere'));
    expect(loaded.pageAssets).toEqual(built.pageAssets);
  });

  it('carry their content compressed', () => {
    for (const asset of built.assets) {
      expect(brotliDecompressSync(asset.brotli).equals(asset.bytes)).toBe(true);
      expect(gunzipSync(asset.gzip).equals(asset.bytes)).toBe(true);
    }
  });

  it('have a name that changes with the content', () => {
    for (const { name } of built.assets) expect(name).toMatch(/^[a-z]+-[A-Za-z0-9]{8}\.(js|css|svg)$/);
  });

  it('bring to a page only what the page needs', () => {
    for (const [name, { file, imports }] of Object.entries(built.pageAssets.scripts)) {
      const code = [file, ...imports].map(textOf).join('\n');
      // The word list and JavaScript's own Ed25519 are loaded when they are used, the table of errors never.
      expect(code, name).not.toContain('abandon');
      expect(code, name).not.toContain('PROVISIONER_EXHAUSTED');
      expect(code, name).not.toMatch(/\bBuffer\b|\bprocess\./);
      expect(code.length, name).toBeLessThan(40_000);
    }
  });
});
