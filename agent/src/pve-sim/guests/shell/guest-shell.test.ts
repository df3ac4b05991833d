/** The small shell of the guests in this process. */
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../lib/system-clock.ts';
import { seededRandom } from '../../seeded-random.ts';
import { GuestOs } from '../guest-os.ts';
import { GuestShell } from './guest-shell.ts';
import { ShellInput } from './shell-input.ts';

function shell(os = GuestOs.image()): GuestShell {
  os.addUser('renter');
  const machine = {
    hostname: () => 'box',
    setHostname: () => {},
    uptimeSeconds: () => 60,
    addresses: () => [],
    powerOff: () => {},
  };
  const { signal } = new AbortController();
  return new GuestShell({ os, machine, clock: systemClock, random: seededRandom(1), signal });
}

async function output(script: string, input = '', user = 'root'): Promise<string> {
  const { stdout, stderr, exitCode } = await shell().run(user, script, ShellInput.of(input));
  return `${stdout}${stderr}${exitCode === 0 ? '' : `[${exitCode}]`}`;
}

describe('the shell', () => {
  it.each([
    ['echo one; echo two', 'one\ntwo\n'],
    ['false || echo saved', 'saved\n'],
    ['false && echo never; echo after', 'after\n'],
    ['set -e; false; echo never', '[1]'],
    ['set -e; false || echo saved; false && echo never; echo after', 'saved\nafter\n'],
    ['x=outer; y=$(echo "$x"; x=inner); echo "$y $x"', 'outer outer\n'],
    ['printf "a\nb\n" | grep -v a', 'b\n'],
    ['! false && echo yes', 'yes\n'],
    [`echo 'a  b' "c  $USER" d\\ e`, 'a  b c  root d e\n'],
    [`x=1; y="$x 2"; echo "$y" $\{x}3`, '1 2 13\n'],
    ['echo "$(echo inner | cut -dn -f1)"', 'i\n'],
    ['echo text > /tmp/a; echo more >> /tmp/a; cat < /tmp/a | wc -l', '2\n'],
    ['cat /nowhere 2>/dev/null; echo $?', '1\n'],
    ['cat /nowhere 2>&1 | grep -c x || true', ''],
    ['# a comment\n\necho here # and one', 'here\n'],
    ['mkdir -p /a/b && touch /a/b/c && ls /a && rm -rf /a && [ ! -e /a/b/c ] && echo gone', 'b\ngone\n'],
    ['umask 077; printf "%s-%s\\n" one two', 'one-two\n'],
    ['exit 3; echo never', '[3]'],
    ['nonsense', 'sh: 1: nonsense: not found\n[127]'],
    [`echo 'open`, `sh: 1: unexpected EOF while looking for matching \`''\n[2]`],
  ])('runs %j', async (script, said) => {
    expect(await output(script)).toBe(said);
  });

  it('gives each command what the ones before have not read', async () => {
    expect(await output('read first; read second; cat', 'one\ntwo\nthree\n')).toBe('three\n');
    expect(await output('sh', 'echo from a script\n')).toBe('from a script\n');
  });

  it('lets only root change passwords, and others by sudo where they may', async () => {
    expect(await output('chpasswd', 'renter:x\n', 'renter')).toBe('chpasswd: Permission denied.\n[1]');
    expect(await output('sudo whoami', '', 'renter')).toBe('sudo: a password is required\n[1]');
    const os = GuestOs.image();
    os.write('/etc/sudoers.d/90', 'renter ALL=(ALL) NOPASSWD:ALL\n');
    const ran = await shell(os).run(
      'renter',
      'sudo chpasswd && sudo -u renter whoami',
      ShellInput.of('renter:new\n'),
    );
    expect(ran).toMatchObject({ stdout: 'renter\n', exitCode: 0 });
    expect(os.isPassword('renter', 'new')).toBe(true);
  });

  it('ends by itself where a script never would', async () => {
    const loop = Array.from({ length: 1_100 }, () => 'true').join('\n');
    expect(await output(loop)).toContain('too many commands');
  });
});
