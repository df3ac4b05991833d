/** A running system for a test: free port, temporary data folder, and an end that leaves nothing behind. */
import { mkdtempSync, readdirSync, rmSync, existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { startSystem, type RunningSystem, type SystemOptions } from '../start-system.ts';

export interface SystemUnderTest extends RunningSystem {
  dataDir: string;
}

/** A port of loopback that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A folder that is removed when the test has finished. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'dc-e2e-'));
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** Starts a system; call it inside a test. */
export async function startTestSystem(options: Partial<SystemOptions> = {}): Promise<SystemUnderTest> {
  const dataDir = options.dataDir ?? join(temporaryFolder(), 'data');
  const system = await startSystem({ port: await freePort(), ...options, dataDir });
  onTestFinished(() => system.stop());
  return { ...system, dataDir };
}

/** The instances that the local driver keeps on disk. */
export function instancesOnDisk(dataDir: string): string[] {
  const folder = join(dataDir, 'agent', 'state', 'drivers', 'local', 'instances');
  return existsSync(folder) ? readdirSync(folder) : [];
}
