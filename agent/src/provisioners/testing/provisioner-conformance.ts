/**
 * What every driver must do, as tests. A driver's `*.conformance.test.ts` calls `describeProvisioner` with a way
 * to make an empty backend; docs/writing-a-driver.md says how.
 */
import { createHash } from 'node:crypto';
import { isAppError, type ErrorCode } from '@dc/shared/errors';
import { makeSeal } from '@dc/shared/seal';
import { afterEach, beforeEach, describe, expect, it as vitestIt } from 'vitest';
import type {
  CreateRequest,
  Handle,
  Instance,
  PasswordChange,
  Provisioner,
  SshKeyChange,
} from '../provisioner.ts';
import type { ConformanceSubject, Skips, SkippableTest, Tolerances } from './conformance-subject.ts';

const SEAL_SECRET = Buffer.alloc(32, 0x5e);
const OTHER_SECRET = Buffer.alloc(32, 0x0f);
const ENVIRONMENT = 'test-environment';
const ANOTHER_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q';

/** How a driver is put under the suite. */
export interface ConformanceOptions {
  /** Makes an empty backend whose objects are sealed with `sealSecret`. */
  make(sealSecret: Uint8Array): Promise<ConformanceSubject>;
  tolerances?: Partial<Tolerances>;
  skips?: Skips;
  /** Where a test takes long: only those with such a title, and why not the others. */
  sample?: { readonly titles: RegExp; readonly reason: string };
}

/** Declares the suite for one driver. */
export function describeProvisioner(name: string, options: ConformanceOptions): void {
  const { listLagMs = 0, testTimeoutMs = 20_000 } = options.tolerances ?? {};
  const it = (title: string, body: () => Promise<void>, timeoutMs = testTimeoutMs): void => {
    const { sample } = options;
    if (sample?.titles.test(title) ?? true) {
      vitestIt(title, body, timeoutMs);
    } else {
      // The driver says why, and the title repeats it.
      vitestIt.skip(`${title} (${sample?.reason ?? ''})`, () => {});
    }
  };
  const unless = (test: SkippableTest, title: string, body: () => Promise<void>): void => {
    const reason = options.skips?.[test];
    if (reason === undefined) {
      it(title, body, testTimeoutMs);
    } else {
      // The driver says why, and the title repeats it.
      vitestIt.skip(`${title} (${reason})`, () => {});
    }
  };

  describe(`${name} as a provisioner`, { timeout: testTimeoutMs }, () => {
    const signal = new AbortController().signal;
    let subject: ConformanceSubject;
    let driver: Provisioner;
    let contracts = 0;

    beforeEach(async () => {
      subject = await options.make(SEAL_SECRET);
      driver = await subject.open();
    });
    afterEach(async () => {
      await driver.close();
      await subject.dispose();
    });

    const sealOf = (contractId: string, secret: Uint8Array = SEAL_SECRET): string =>
      makeSeal(secret, { contractId, environment: ENVIRONMENT });
    const aRequest = (changes: Partial<CreateRequest> = {}): CreateRequest => {
      const number = String(++contracts).padStart(12, '0');
      const contractId = changes.contractId ?? `01930000-0000-7000-8000-${number}`;
      return {
        contractId,
        seal: sealOf(contractId),
        token: `token-${number}`,
        spec: subject.spec,
        ...changes,
      };
    };
    const anInstance = async (): Promise<{ request: CreateRequest; instance: Instance }> => {
      const request = aRequest();
      return { request, instance: await driver.create(request, signal) };
    };
    const reopen = async (): Promise<void> => {
      await driver.close();
      driver = await subject.open();
    };
    const eventually = (read: () => Promise<unknown>) =>
      expect.poll(read, { timeout: listLagMs + 2_000, interval: 20 });
    const listed = async (): Promise<readonly Instance[]> => {
      const list = await driver.list(signal);
      expect(list).toMatchObject({ complete: true });
      return list.instances;
    };
    const listedIds = async (): Promise<string[]> =>
      (await listed()).map((instance) => instance.handle.id).sort();
    const expectOnly = async (...handles: Handle[]): Promise<void> => {
      const ids = handles.map((handle) => handle.id).sort();
      await eventually(listedIds).toEqual(ids);
      expect((await subject.objectIds()).sort()).toEqual(ids);
    };
    const existence = async (handle: Handle): Promise<string> =>
      (await driver.inspect(handle, signal)).existence;

    describe('creating', () => {
      it('makes a running instance that carries its seal, contract and token', async () => {
        const { request, instance } = await anInstance();
        const { seal, contractId, token } = request;
        expect(instance).toMatchObject({ seal, contractId, token, power: 'running' });
        expect(instance.handle).toMatchObject({ driver: driver.kind, version: 1 });
        await eventually(() => driver.inspect(instance.handle, signal)).toEqual({
          existence: 'present',
          instance,
        });
        await eventually(listed).toEqual([instance]);
      });

      unless('hostKey', 'says where to log in, with a host key and its fingerprint', async () => {
        const { instance } = await anInstance();
        expect(instance.ssh?.hostKey).toMatch(/^ssh-ed25519 AAAA[A-Za-z0-9+/]+={0,2}$/);
        const blob = Buffer.from(instance.ssh?.hostKey.split(' ')[1] ?? '', 'base64');
        const digest = createHash('sha256').update(blob).digest('base64').replace(/=+$/, '');
        expect(instance.ssh?.hostKeyFingerprint).toBe(`SHA256:${digest}`);
      });

      unless('reachable', 'answers where it said', async () => {
        const { instance } = await anInstance();
        expect(await subject.isReachable(instance)).toBe(true);
      });

      it('makes nothing new for a token that it has seen', async () => {
        const { request, instance } = await anInstance();
        expect(await driver.create(request, signal)).toEqual(instance);
        await expectOnly(instance.handle);
      });

      it('makes nothing new for a contract that has an instance, whatever the token', async () => {
        const { request, instance } = await anInstance();
        const again = await driver.create({ ...request, token: 'another-token' }, signal);
        expect(again).toEqual(instance);
        await expectOnly(instance.handle);
      });

      it('makes one instance when asked twice at once', async () => {
        const request = aRequest();
        const asks = [request, { ...request, token: 'another-token' }, request];
        const made = await Promise.all(asks.map((ask) => driver.create(ask, signal)));
        expect(new Set(made.map((instance) => instance.handle.id)).size).toBe(1);
        await expectOnly(made[0]!.handle);
      });

      it('makes several instances at once for several contracts', async () => {
        const made = await Promise.all(Array.from({ length: 5 }, () => driver.create(aRequest(), signal)));
        await expectOnly(...made.map((instance) => instance.handle));
      });

      it('refuses the token of another contract', async () => {
        const { request, instance } = await anInstance();
        await expectForeign(driver.create(aRequest({ token: request.token }), signal));
        await expectOnly(instance.handle);
      });

      it('refuses an order whose seal is for another contract or from another provider', async () => {
        const other = aRequest();
        await expectForeign(driver.create(aRequest({ seal: other.seal }), signal));
        const request = aRequest();
        await expectForeign(
          driver.create({ ...request, seal: sealOf(request.contractId, OTHER_SECRET) }, signal),
        );
        await expectOnly();
      });

      it('makes no second instance beside one that claims the contract without a valid seal', async () => {
        const { request, instance } = await anInstance();
        await subject.replaceSeal(instance.handle, sealOf(request.contractId, OTHER_SECRET));
        await expectForeign(driver.create({ ...request, token: 'another-token' }, signal));
        expect(await subject.objectIds()).toEqual([instance.handle.id]);
      });

      it('does nothing when aborted before', async () => {
        await expectCode('SAGA_ABORTED', driver.create(aRequest(), AbortSignal.abort()));
        await expectOnly();
      });

      it('aborted in the middle, leaves nothing or something that the list shows', async () => {
        for (const turns of [1, 2, 3, 5, 8, 13, 21, 34]) {
          const controller = new AbortController();
          const request = aRequest();
          const creating = driver.create(request, controller.signal).catch((error: unknown) => error);
          for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
          controller.abort();
          const outcome = await creating;
          if (outcome instanceof Error) expect(isAppError(outcome, 'SAGA_ABORTED')).toBe(true);
          await eventually(async () => (await subject.objectIds()).sort()).toEqual(await listedIds());
          const instance = await driver.create(request, signal);
          const same = (await listed()).filter((other) => other.contractId === request.contractId);
          expect(same).toEqual([instance]);
        }
      });

      unless(
        'lostReply',
        'is found by the list, and by the same order, when its answer was lost',
        async () => {
          const request = aRequest();
          subject.loseNextCreateReply?.();
          const controller = new AbortController();
          const creating = driver.create(request, controller.signal);
          controller.abort();
          await expectCode('SAGA_ABORTED', creating);
          await eventually(async () => (await listed()).map((found) => found.contractId)).toEqual([
            request.contractId,
          ]);
          const instance = await driver.create(request, signal);
          await expectOnly(instance.handle);
        },
      );
    });

    describe('looking', () => {
      it('knows an instance by a handle that went through JSON, after a restart too', async () => {
        const { instance } = await anInstance();
        const handle = JSON.parse(JSON.stringify(instance.handle)) as Handle;
        await reopen();
        const found = await driver.inspect(handle, signal);
        expect(found).toEqual({ existence: 'present', instance });
        await eventually(listed).toEqual([instance]);
      });

      it('is ready to be logged in to again after a restart', async () => {
        const { instance } = await anInstance();
        await reopen();
        expect(await subject.isReachable(instance)).toBe(true);
      });

      it('calls its backend the same after a restart, if it has a name for it', async () => {
        const { backendId } = driver;
        await reopen();
        expect(driver.backendId).toBe(backendId);
        if (backendId !== undefined) expect(backendId).toMatch(/^\S{1,100}$/);
      });

      it('tells with evidence that an instance does not exist', async () => {
        const { request, instance } = await anInstance();
        await driver.destroy(instance.handle, request.seal, signal);
        const found = await driver.inspect(instance.handle, signal);
        expect(found).toEqual({ existence: 'absent', evidence: expect.stringMatching(/\w/) as string });
      });

      it('lists nothing, and that completely, when there is nothing', async () => {
        expect(await driver.list(signal)).toEqual({ complete: true, instances: [] });
      });

      it('is healthy, and says what is free', async () => {
        const before = await driver.fingerprint(signal);
        expect(before).toMatchObject({ healthy: true, why: expect.stringMatching(/\w/) as string });
        await anInstance();
        const after = await driver.fingerprint(signal);
        if (before.freeCapacity === null) expect(after.freeCapacity).toBeNull();
        else expect(after.freeCapacity?.instances).toBe(before.freeCapacity.instances - 1);
        const { storages = [], diskGb = 0 } = after.freeCapacity ?? {};
        expect(new Set(storages.map(({ name }) => name)).size).toBe(storages.length);
        const together = storages.reduce((sum, { freeGb }) => sum + freeGb, 0);
        if (storages.length > 0) expect(together).toBe(diskGb);
      });
    });

    describe('switching off and on', () => {
      it('stops, shows it in the list, and starts again with the same address and host key', async () => {
        const { request, instance } = await anInstance();
        const stopped = { existence: 'present', instance: { power: 'stopped' } };
        expect(await driver.stop(instance.handle, request.seal, signal)).toMatchObject(stopped);
        expect(await driver.stop(instance.handle, request.seal, signal)).toMatchObject(stopped);
        await eventually(async () => (await listed()).map((found) => found.power)).toEqual(['stopped']);
        const started = { existence: 'present', instance };
        expect(await driver.start(instance.handle, request.seal, signal)).toEqual(started);
        expect(await driver.start(instance.handle, request.seal, signal)).toEqual(started);
      });

      unless('reachable', 'answers nobody while it is stopped, not even after a restart', async () => {
        const { request, instance } = await anInstance();
        await driver.stop(instance.handle, request.seal, signal);
        expect(await subject.isReachable(instance)).toBe(false);
        await reopen();
        expect(await subject.isReachable(instance)).toBe(false);
        await driver.start(instance.handle, request.seal, signal);
        expect(await subject.isReachable(instance)).toBe(true);
      });

      it('says of an instance that is gone that it is absent', async () => {
        const { request, instance } = await anInstance();
        await driver.destroy(instance.handle, request.seal, signal);
        const absent = { existence: 'absent' };
        expect(await driver.start(instance.handle, request.seal, signal)).toMatchObject(absent);
        expect(await driver.stop(instance.handle, request.seal, signal)).toMatchObject(absent);
      });
    });

    describe('changing who can log in', () => {
      const passwordOf = (instance: Instance, password: string): PasswordChange => ({
        user: instance.ssh?.user ?? 'root',
        password,
      });
      const keyChange = (request: CreateRequest, instance: Instance): SshKeyChange => ({
        user: instance.ssh?.user ?? 'root',
        sshPublicKey: ANOTHER_KEY,
        replaces: request.spec.sshPublicKey,
      });

      unless('login', 'lets in whoever has the newest password, after a restart too', async () => {
        const { request, instance } = await anInstance();
        const old = passwordOf(instance, 'an-old-password');
        const next = passwordOf(instance, 'a-new-password');
        for (const login of [old, next, next]) {
          const changed = await driver.setPassword(instance.handle, request.seal, login, signal);
          expect(changed).toMatchObject({ existence: 'present', instance: { seal: request.seal } });
        }
        for (const restarts of [0, 1]) {
          if (restarts > 0) await reopen();
          expect(await subject.tryPassword?.(instance, next)).toBe(true);
          expect(await subject.tryPassword?.(instance, old)).toBe(false);
          expect(await subject.tryPassword?.(instance, { ...next, user: 'somebody' })).toBe(false);
        }
      });

      unless(
        'login',
        'lets in the new key and not the one that it replaces, after a restart too',
        async () => {
          const { request, instance } = await anInstance();
          const change = keyChange(request, instance);
          expect(await subject.tryPublicKey?.(instance, change.replaces)).toBe(true);
          for (let times = 0; times < 2; times += 1)
            await driver.rotateSshKey(instance.handle, request.seal, change, signal);
          for (const restarts of [0, 1]) {
            if (restarts > 0) await reopen();
            expect(await subject.tryPublicKey?.(instance, change.sshPublicKey)).toBe(true);
            expect(await subject.tryPublicKey?.(instance, change.replaces)).toBe(false);
          }
        },
      );

      unless('login', 'changes nothing in one that is off, and can be asked again', async () => {
        const { request, instance } = await anInstance();
        await driver.stop(instance.handle, request.seal, signal);
        const login = passwordOf(instance, 'a-new-password');
        const setting = driver.setPassword(instance.handle, request.seal, login, signal);
        await expectCode('PROVISIONER_UNAVAILABLE', setting);
        const change = keyChange(request, instance);
        const rotating = driver.rotateSshKey(instance.handle, request.seal, change, signal);
        await expectCode('PROVISIONER_UNAVAILABLE', rotating);
      });

      it('says of an instance that is gone that it is absent, or that it cannot do this at all', async () => {
        const { request, instance } = await anInstance();
        await driver.destroy(instance.handle, request.seal, signal);
        const login = passwordOf(instance, 'a-new-password');
        const setting = driver.setPassword(instance.handle, request.seal, login, signal);
        const { setPasswordInGuest } = driver.capabilities;
        if (setPasswordInGuest) expect(await setting).toMatchObject({ existence: 'absent' });
        else await expectCode('CREDENTIALS_UNSUPPORTED', setting);
      });
    });

    describe('destroying', () => {
      it('leaves nothing behind', async () => {
        const { request, instance } = await anInstance();
        expect(await driver.destroy(instance.handle, request.seal, signal)).toEqual({ destroyed: true });
        expect(await existence(instance.handle)).toBe('absent');
        expect(await subject.isReachable(instance)).toBe(false);
        await expectOnly();
      });

      it('destroys one that is stopped, and leaves the others alone', async () => {
        const { request, instance } = await anInstance();
        const other = await anInstance();
        await driver.stop(instance.handle, request.seal, signal);
        await driver.destroy(instance.handle, request.seal, signal);
        await expectOnly(other.instance.handle);
      });

      it('is done with one that is gone, or that never was, and says so', async () => {
        const { request, instance } = await anInstance();
        await driver.destroy(instance.handle, request.seal, signal);
        expect(await driver.destroy(instance.handle, request.seal, signal)).toEqual({ destroyed: false });
        await reopen();
        expect(await driver.destroy(instance.handle, request.seal, signal)).toEqual({ destroyed: false });
      });

      it('asked twice at once, destroys once', async () => {
        const { request, instance } = await anInstance();
        const asks = [1, 2].map(() => driver.destroy(instance.handle, request.seal, signal));
        const destroyed = (await Promise.all(asks)).map((answer) => answer.destroyed);
        expect(destroyed.sort()).toEqual([false, true]);
      });

      it('does nothing when aborted before', async () => {
        const { request, instance } = await anInstance();
        await expectCode('SAGA_ABORTED', driver.destroy(instance.handle, request.seal, AbortSignal.abort()));
        expect(await existence(instance.handle)).toBe('present');
      });
    });

    describe('with what is not its own', () => {
      const touching = ['start', 'stop', 'destroy'] as const;
      const expectUntouched = async (handle: Handle, seal: string): Promise<void> => {
        const before = await subject.snapshot(handle);
        for (const method of touching) await expectForeign(driver[method](handle, seal, signal));
        const { setPasswordInGuest, rotateSshKey } = driver.capabilities;
        if (setPasswordInGuest)
          await expectForeign(driver.setPassword(handle, seal, { user: 'root', password: 'stolen' }, signal));
        const change = { user: 'root', sshPublicKey: ANOTHER_KEY, replaces: subject.spec.sshPublicKey };
        if (rotateSshKey) await expectForeign(driver.rotateSshKey(handle, seal, change, signal));
        expect(await subject.snapshot(handle)).toBe(before);
        expect(await subject.objectIds()).toContain(handle.id);
      };

      it('touches nothing on the seal of another contract or another provider', async () => {
        const { request, instance } = await anInstance();
        await expectUntouched(instance.handle, aRequest().seal);
        await expectUntouched(instance.handle, sealOf(request.contractId, OTHER_SECRET));
        await expectUntouched(instance.handle, '');
      });

      it('touches nothing without a seal, and lists it as not ours', async () => {
        const { request, instance } = await anInstance();
        await subject.replaceSeal(instance.handle, null);
        await expectUntouched(instance.handle, request.seal);
        await eventually(async () => (await listed()).map((found) => found.seal)).toEqual([null]);
      });

      it('touches nothing with a forged seal, after a restart neither', async () => {
        const { request, instance } = await anInstance();
        await subject.replaceSeal(instance.handle, sealOf(request.contractId, OTHER_SECRET));
        await expectUntouched(instance.handle, request.seal);
        await reopen();
        await expectUntouched(instance.handle, request.seal);
        await eventually(async () => (await listed()).map((found) => found.seal)).toEqual([null]);
      });

      it('touches nothing with a seal copied from another contract, whichever of the two is asked for', async () => {
        const { request, instance } = await anInstance();
        const other = aRequest();
        await subject.replaceSeal(instance.handle, other.seal);
        await expectUntouched(instance.handle, other.seal);
        await expectUntouched(instance.handle, request.seal);
      });

      it('says nothing secret in its errors', async () => {
        const { request, instance } = await anInstance();
        const failures = await Promise.all([
          driver.destroy(instance.handle, aRequest().seal, signal).catch((error: unknown) => error),
          driver.create(aRequest({ token: request.token }), signal).catch((error: unknown) => error),
          driver.create(aRequest(), AbortSignal.abort()).catch((error: unknown) => error),
        ]);
        const secrets = [
          request.seal,
          request.token,
          SEAL_SECRET.toString('hex'),
          SEAL_SECRET.toString('base64'),
        ];
        for (const failure of failures) {
          expect(failure).toBeInstanceOf(Error);
          const said = [(failure as Error).message, (failure as { remedy?: string }).remedy].join(' ');
          for (const secret of secrets) expect(said).not.toContain(secret);
        }
      });
    });

    it('can be closed twice', async () => {
      await anInstance();
      await driver.close();
      await driver.close();
      driver = await subject.open();
    });
  });
}

async function expectCode(code: ErrorCode, promise: Promise<unknown>): Promise<void> {
  const outcome = await promise.catch((error: unknown) => error);
  expect(isAppError(outcome) ? outcome.code : outcome).toBe(code);
}

function expectForeign(promise: Promise<unknown>): Promise<void> {
  return expectCode('PROVISIONER_FOREIGN', promise);
}
