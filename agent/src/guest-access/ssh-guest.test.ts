import { describe, expect, it } from 'vitest';
import { isAppError } from '@dc/shared/errors';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import { systemClock } from '../lib/system-clock.ts';
import { replaceGuestKey, setGuestPassword } from './ssh-guest.ts';
import { keyPair, startGuest, type Guest, type GuestBehaviour } from './testing/guest-server.ts';

const PASSWORD = 'the-new-password';
const { signal } = new AbortController();
const management = keyPair(41);

/** A guest that lets the management key in. */
function startManaged(run: NonNullable<GuestBehaviour['run']>): Promise<Guest> {
  return startGuest({
    offers: ['publickey'],
    mayEnter: (attempt) => attempt.method === 'publickey' && attempt.key.data.equals(management.blob),
    run,
  });
}

const setPassword = (guest: Guest, { clock = systemClock, privateKey = management.privateKey } = {}) =>
  setGuestPassword(
    { access: guest.access, privateKey },
    { user: 'debian', password: PASSWORD },
    { clock, signal },
  );

async function failureOf(promise: Promise<unknown>): Promise<{ code: string; message: string }> {
  const outcome: unknown = await promise.catch((error: unknown) => error);
  if (!isAppError(outcome)) throw new Error(`no failure but ${String(outcome)}`);
  return outcome;
}

describe('Setting a password over SSH', () => {
  it('gives chpasswd one line on stdin, and nothing secret in the command', async () => {
    const seen: string[][] = [];
    const guest = await startManaged((command, stdin, channel) => {
      seen.push([command, stdin]);
      channel.exit(0);
      channel.end();
    });
    await setPassword(guest);
    expect(seen).toHaveLength(1);
    const [command, stdin] = seen[0]!;
    expect(stdin).toBe(`debian:${PASSWORD}\n`);
    expect(command).toContain('exec chpasswd');
    expect(command).toContain('sudo -n chpasswd');
    expect(command).not.toContain(PASSWORD);
  });

  it('has failed where the guest says so, and repeats nothing of what the guest said', async () => {
    const guest = await startManaged((_command, stdin, channel) => {
      channel.stderr.write(`bad line: ${stdin}`);
      channel.exit(1);
      channel.end();
    });
    const failure = await failureOf(setPassword(guest));
    expect(failure.code).toBe('COMMAND_FAILED');
    expect(JSON.stringify(failure) + failure.message).not.toContain(PASSWORD);
  });

  it.each([
    ['was killed', (channel: { exit(signal: 'KILL'): void }) => channel.exit('KILL')],
    ['ended without a word', () => undefined],
  ])('has failed where the command %s: no exit code is no success', async (_name, end) => {
    const guest = await startManaged((_command, _stdin, channel) => {
      end(channel);
      channel.end();
    });
    expect((await failureOf(setPassword(guest))).code).toBe('COMMAND_FAILED');
  });

  it('is given up when its own time is over', async () => {
    const clock = new ManualClock();
    let isRunning = false;
    const guest = await startManaged(() => (isRunning = true));
    const setting = failureOf(setPassword(guest, { clock }));
    await expect.poll(() => isRunning).toBe(true);
    await clock.advance(60_000);
    expect(await setting).toMatchObject({ code: 'INSTANCE_UNREACHABLE' });
    expect(clock.timerCount).toBe(0);
  });

  it('does not happen where the management key is refused, or another host answers', async () => {
    const guest = await startManaged(() => undefined);
    const refused = await failureOf(setPassword(guest, { privateKey: keyPair(42).privateKey }));
    expect(refused).toMatchObject({ code: 'INSTANCE_UNREACHABLE' });
    expect(refused.message).toContain('does not let us in');
    const attempts = guest.attempts.length;
    const other = { ...guest, access: { ...guest.access, hostKey: keyPair(43).publicLine } };
    expect((await failureOf(setPassword(other))).message).toContain('another host key');
    expect(guest.attempts).toHaveLength(attempts);
  });
});

describe('Replacing a key over SSH', () => {
  it('gives the script user, old and new key on stdin', async () => {
    let stdin = '';
    const guest = await startManaged((_command, text, channel) => {
      stdin = text;
      channel.exit(0);
      channel.end();
    });
    const change = {
      user: 'debian',
      sshPublicKey: `${keyPair(1).publicLine} me@home`,
      replaces: keyPair(2).publicLine,
    };
    await replaceGuestKey({ access: guest.access, privateKey: management.privateKey }, change, {
      clock: systemClock,
      signal,
    });
    const [, old = ''] = keyPair(2).publicLine.split(' ');
    expect(stdin).toBe(`debian\n${old}\n${keyPair(1).publicLine}\n`);
  });
});
