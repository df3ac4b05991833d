import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { isAppError } from '@dc/shared/errors';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import { startPveSimulator, type PveSimulator } from '../../pve-sim/start-pve-simulator.ts';
import { PveClient, PveRefusal } from './pve-client.ts';
import { pvePath } from './pve-path.ts';

const clock = systemClock;
const signal = new AbortController().signal;
const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function startSimulator(version: string): Promise<PveSimulator> {
  const simulator = await startPveSimulator({ clock, random: systemRandom, version });
  closers.push(() => simulator.close());
  return simulator;
}

function clientOf(simulator: PveSimulator, over: { pins?: () => string[]; token?: string } = {}): PveClient {
  const client = new PveClient({
    url: simulator.url,
    token: () => over.token ?? simulator.rootToken,
    pins: over.pins ?? (() => [simulator.fingerprint]),
    clock,
  });
  closers.push(() => client.close());
  return client;
}

describe.each(['7.4', '8.4', '9.1'])('the client of Proxmox VE %s', (version) => {
  it('answers the data of a call', async () => {
    const client = clientOf(await startSimulator(version));
    expect(await client.get(pvePath`/version`, signal)).toMatchObject({
      version: expect.stringMatching(new RegExp(`^${version.replace('.', '\\.')}`)) as string,
    });
  });

  it('says with which status and words a call was refused', async () => {
    const client = clientOf(await startSimulator(version));
    const refusal = await client
      .get(pvePath`/nodes/${'pve1'}/qemu/${4711}/config`, signal)
      .catch((e: unknown) => e);
    expect(refusal).toBeInstanceOf(PveRefusal);
    expect(refusal).toMatchObject({
      status: 500,
      message: expect.stringContaining('does not exist') as string,
    });
  });

  it('names the parameters that were refused', async () => {
    const client = clientOf(await startSimulator(version));
    const refused = client.call('POST', pvePath`/nodes/${'pve1'}/qemu`, { vmid: 'seven' }, signal);
    await expect(refused).rejects.toMatchObject({
      status: 400,
      fields: { vmid: expect.any(String) as string },
    });
  });

  it('is told that its token is wrong', async () => {
    const client = clientOf(await startSimulator(version), { token: 'root@pam!sim=wrong' });
    await expect(client.get(pvePath`/version`, signal)).rejects.toMatchObject({ status: 401 });
  });
});

describe('the client of Proxmox VE', () => {
  it('sends nothing to a host with another certificate, and follows one that is pinned anew', async () => {
    const simulator = await startSimulator('8.4');
    let pins = ['00:'.repeat(31) + '00'];
    const client = clientOf(simulator, { pins: () => pins });
    await expect(client.get(pvePath`/version`, signal)).rejects.toMatchObject({
      code: 'PROVISIONER_CERTIFICATE_CHANGED',
      message: expect.stringContaining(simulator.fingerprint) as string,
    });
    expect(simulator.observer.counts.size).toBe(0);
    pins = [simulator.fingerprint.toLowerCase()];
    expect(await client.get(pvePath`/version`, signal)).toBeTypeOf('object');
  });

  it('notices a certificate that changes while it runs', async () => {
    const simulator = await startSimulator('8.4');
    const pinned = simulator.fingerprint;
    const client = clientOf(simulator, { pins: () => [pinned] });
    await client.get(pvePath`/version`, signal);
    simulator.control.renewCertificate();
    await expect(client.get(pvePath`/version`, signal)).rejects.toMatchObject({
      code: 'PROVISIONER_CERTIFICATE_CHANGED',
    });
  });

  it('says that nobody answers, and stops when it is told to', async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    closers.push(async () => silent.close());
    const { port } = silent.address() as AddressInfo;
    const client = new PveClient({
      url: `https://127.0.0.1:${port}`,
      token: () => 'x',
      pins: () => [],
      clock,
    });
    closers.push(() => client.close());
    const abort = new AbortController();
    const call = client.get(pvePath`/version`, abort.signal);
    abort.abort();
    await expect(call).rejects.toMatchObject({ code: 'SAGA_ABORTED' });
    const gone = new PveClient({ url: 'https://127.0.0.1:1', token: () => 'x', pins: () => [], clock });
    closers.push(() => gone.close());
    const error: unknown = await gone.get(pvePath`/version`, signal).catch((e: unknown) => e);
    expect(isAppError(error, 'PROVISIONER_UNAVAILABLE') && error.message).toContain('ECONNREFUSED');
  });
});

describe('a path', () => {
  it('escapes what is put into it, and cannot be climbed out of', () => {
    expect(pvePath`/nodes/${'a/b?c'}/qemu/${100}`).toBe('/nodes/a%2Fb%3Fc/qemu/100');
    for (const bad of ['', '.', '..']) expect(() => pvePath`/nodes/${bad}/qemu`).toThrow(RangeError);
  });
});
