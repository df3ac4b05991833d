import { describe, expect, it } from 'vitest';
import { isAppError } from '@dc/shared/errors';
import { makeSeal } from '@dc/shared/seal';
import { systemClock } from '../../lib/system-clock.ts';
import type { CreateRequest } from '../provisioner.ts';
import { describeProvisioner } from '../testing/provisioner-conformance.ts';
import { MemoryBackend } from './memory-backend.ts';
import { MemoryProvisioner } from './memory-provisioner.ts';

const SPEC = {
  cpu: 1,
  memoryMb: 512,
  diskGb: 5,
  operatingSystem: 'debian-12',
  sshPublicKey: 'ssh-ed25519 AAAA',
  hostname: 'demo',
};

describeProvisioner('the memory driver', {
  make: async (sealSecret) => {
    const backend = new MemoryBackend();
    return {
      spec: SPEC,
      open: async () => new MemoryProvisioner({ backend, clock: systemClock, sealSecret }),
      replaceSeal: async (handle, seal) => {
        backend.objects.get(handle.id)!.seal = seal;
      },
      snapshot: async (handle) => JSON.stringify(backend.objects.get(handle.id)),
      objectIds: async () => [...backend.objects.keys()],
      isReachable: async (instance) => backend.objects.get(instance.handle.id)?.power === 'running',
      tryPassword: async ({ handle }, { user, password }) => {
        const login = backend.objects.get(handle.id)?.login;
        return login?.user === user && login.password === password;
      },
      tryPublicKey: async ({ handle }, sshPublicKey) => {
        const object = backend.objects.get(handle.id);
        return sshPublicKey === (object?.sshPublicKey ?? object?.spec['sshPublicKey']);
      },
      loseNextCreateReply: () => backend.inject({ on: 'create', what: 'reply_lost' }),
      dispose: async () => {},
    };
  },
});

describe('the faults of the memory backend', () => {
  const sealSecret = Buffer.alloc(32, 1);
  const signal = new AbortController().signal;
  const contractId = '01930000-0000-7000-8000-000000000001';
  const seal = makeSeal(sealSecret, { contractId, environment: 'test' });
  const request: CreateRequest = { contractId, seal, token: 'token', spec: SPEC };
  const setUp = (instancesMax?: number) => {
    const backend = new MemoryBackend(instancesMax);
    return { backend, driver: new MemoryProvisioner({ backend, clock: systemClock, sealSecret }) };
  };
  const codeOf = async (promise: Promise<unknown>) => {
    const outcome = await promise.catch((error: unknown) => error);
    return isAppError(outcome) ? outcome.code : outcome;
  };

  it('can fail with and without having done the work', async () => {
    const { backend, driver } = setUp();
    backend.inject({ on: 'create', what: 'error' });
    backend.inject({ on: 'create', what: 'done_but_failed' });
    expect(await codeOf(driver.create(request, signal))).toBe('PROVISIONER_UNAVAILABLE');
    expect(backend.objects.size).toBe(0);
    expect(await codeOf(driver.create(request, signal))).toBe('PROVISIONER_FAILED');
    expect(backend.objects.size).toBe(1);
  });

  it('never call an instance absent because the backend fails', async () => {
    const { backend, driver } = setUp();
    const { handle } = await driver.create(request, signal);
    backend.inject({ on: 'inspect', what: 'error' });
    expect(await driver.inspect(handle, signal)).toMatchObject({ existence: 'unknown' });
    backend.inject({ on: 'list', what: 'incomplete' });
    expect(await driver.list(signal)).toMatchObject({ complete: false, instances: [] });
    backend.inject({ on: 'fingerprint', what: 'error' });
    expect(await driver.fingerprint(signal)).toMatchObject({ healthy: false, freeCapacity: null });
  });

  it('can do the work after the caller has given up', async () => {
    const { backend, driver } = setUp();
    backend.inject({ on: 'create', what: 'late', delayMs: 20 });
    const controller = new AbortController();
    const creating = codeOf(driver.create(request, controller.signal));
    controller.abort();
    expect(await creating).toBe('SAGA_ABORTED');
    expect(backend.objects.size).toBe(0);
    await expect.poll(() => backend.objects.size).toBe(1);
  });

  it('can run out of room', async () => {
    const { driver } = setUp(0);
    expect(await codeOf(driver.create(request, signal))).toBe('PROVISIONER_EXHAUSTED');
  });
});
