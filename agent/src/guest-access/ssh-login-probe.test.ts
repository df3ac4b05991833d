import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { isAppError } from '@dc/shared/errors';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import { systemClock } from '../lib/system-clock.ts';
import { systemRandom } from '../lib/system-random.ts';
import { sshLoginProbe } from './ssh-login-probe.ts';
import { keyPair, startGuest, type GuestBehaviour } from './testing/guest-server.ts';

const PASSWORD = 'the-new-password';
const signal = new AbortController().signal;
const probe = sshLoginProbe({ clock: systemClock, random: systemRandom });

const byPassword: GuestBehaviour = {
  mayEnter: (attempt) => attempt.method === 'password' && attempt.password === PASSWORD,
};

async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  const outcome: unknown = await promise.catch((error: unknown) => error);
  return isAppError(outcome) ? outcome.code : outcome;
}

describe('Trying a password', () => {
  it('is accepted only after a wrong one was refused', async () => {
    const guest = await startGuest(byPassword);
    expect(await probe.tryPassword(guest.access, PASSWORD, signal)).toBe('accepted');
    expect(guest.attempts).toEqual(['none', 'password', 'password']);
  });

  it('is refused where it is another one', async () => {
    const { access } = await startGuest(byPassword);
    expect(await probe.tryPassword(access, 'an old password', signal)).toBe('refused');
  });

  it.each([
    ['whoever asks', () => true],
    ['any password', ({ method }: { method: string }) => method === 'password'],
  ])('proves nothing at a server that lets in %s', async (_name, mayEnter) => {
    const { access } = await startGuest({ mayEnter });
    expect(await probe.tryPassword(access, PASSWORD, signal)).toBe('anything_accepted');
  });

  it('is not made where the server takes no passwords', async () => {
    const guest = await startGuest({ ...byPassword, offers: ['publickey'] });
    expect(await probe.tryPassword(guest.access, PASSWORD, signal)).toBe('not_offered');
    expect(guest.attempts).toEqual(['none']);
  });

  it('is accepted where a second factor is asked for after it', async () => {
    const { access } = await startGuest({
      mayEnter: (attempt) =>
        attempt.method === 'password' && attempt.password === PASSWORD ? 'partial' : false,
    });
    expect(await probe.tryPassword(access, PASSWORD, signal)).toBe('accepted');
  });
});

describe('Trying a key', () => {
  const { publicLine, blob } = keyPair(21);
  const byKey: GuestBehaviour = {
    mayEnter: (attempt) => attempt.method === 'publickey' && attempt.key.data.equals(blob),
  };

  it('needs no private key: the server says whether it would take it', async () => {
    const guest = await startGuest(byKey);
    expect(await probe.tryPublicKey(guest.access, publicLine, signal)).toBe('accepted');
    expect(guest.attempts.filter((method) => method === 'publickey')).toHaveLength(1);
  });

  it('is refused for another one', async () => {
    const { access } = await startGuest(byKey);
    expect(await probe.tryPublicKey(access, keyPair(22).publicLine, signal)).toBe('refused');
  });
});

describe('A server that cannot be trusted', () => {
  it('with another host key hears neither password nor key', async () => {
    const guest = await startGuest(byPassword);
    const access = { ...guest.access, hostKey: keyPair(33).publicLine };
    const outcome: unknown = await probe
      .tryPassword(access, PASSWORD, signal)
      .catch((error: unknown) => error);
    expect(outcome).toMatchObject({ code: 'INSTANCE_UNREACHABLE' });
    expect(String(outcome)).toContain('another host key');
    expect(await codeOf(probe.tryPublicKey(access, keyPair(21).publicLine, signal))).toBe(
      'INSTANCE_UNREACHABLE',
    );
    expect(guest.attempts).toEqual([]);
  });

  it('that says nothing is left when its time is over, and at once when the probe is told to stop', async () => {
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void silent.close());
    const { port } = silent.address() as AddressInfo;
    const access = { ...(await startGuest({})).access, port };
    const clock = new ManualClock();
    const patient = sshLoginProbe({ clock, random: systemRandom });
    const trying = codeOf(patient.tryPassword(access, PASSWORD, signal));
    await expect.poll(() => clock.timerCount).toBe(1);
    await clock.advance(20_000);
    expect(await trying).toBe('INSTANCE_UNREACHABLE');
    const controller = new AbortController();
    const stopping = codeOf(patient.tryPassword(access, PASSWORD, controller.signal));
    await expect.poll(() => clock.timerCount).toBe(1);
    controller.abort();
    expect(await stopping).toBe('SAGA_ABORTED');
    expect(clock.timerCount).toBe(0);
  });

  it('that is not there is said to be unreachable', async () => {
    const { access } = await startGuest({});
    expect(await codeOf(probe.tryPassword({ ...access, port: 1 }, PASSWORD, signal))).toBe(
      'INSTANCE_UNREACHABLE',
    );
  });
});
