import { describe, expect, it } from 'vitest';
import type { Host, HostResult } from './host.ts';
import { apiPath, Pvesh, pveshArgv } from './pvesh.ts';

const UPID = 'UPID:pve1:0001:0002:0003:qmstart:100:root@pam:';
const { signal } = new AbortController();

/** A host whose call says `result`, and whose task ended with `exitstatus`. */
function pvesh(result: Partial<HostResult>, exitstatus = 'OK'): { pvesh: Pvesh; asked: string[] } {
  const asked: string[] = [];
  const host: Host = {
    run: ({ argv }) => {
      asked.push(argv.join(' '));
      const status = { exitCode: 0, stdout: JSON.stringify({ status: 'stopped', exitstatus }), stderr: '' };
      const isFirst = asked.length === 1;
      return Promise.resolve(isFirst ? { exitCode: 0, stdout: '', stderr: '', ...result } : status);
    },
  };
  return { pvesh: new Pvesh(host, signal), asked };
}

const START = pveshArgv('create', apiPath`/nodes/${'pve1'}/qemu/${100}/status/start`);

describe('a call that starts a task', () => {
  const stdout = `start VM 100\n${JSON.stringify(UPID)}\n`;

  it('has succeeded when the task has, whatever noise there was on the way', async () => {
    const { pvesh: quiet, asked } = pvesh({ stdout, stderr: 'something that nobody understands' });
    await expect(quiet.change(START)).resolves.toBe(stdout);
    expect(asked[1]).toBe(`pvesh get /nodes/pve1/tasks/${UPID}/status --output-format json`);
    await expect(pvesh({ stdout }, 'WARNINGS: 2').pvesh.change(START)).resolves.toBe(stdout);
  });

  it('has failed when the task has, although the program ends with 0', async () => {
    const { pvesh: failing } = pvesh({ stdout, stderr: '' }, 'got timeout');
    await expect(failing.change(START)).rejects.toThrow(
      'pvesh create /nodes/pve1/qemu/100/status/start: got timeout',
    );
  });
});

describe('a call without a task', () => {
  it('has failed when it says so, by its exit code or on stderr', async () => {
    await expect(pvesh({ exitCode: 2, stderr: 'no such VM\n' }).pvesh.change(START)).rejects.toThrow(
      'no such VM',
    );
    await expect(pvesh({ stderr: 'command failed\n' }).pvesh.change(START)).rejects.toThrow('command failed');
    await expect(
      pvesh({ stderr: 'perl: warning: Setting locale failed.\n' }).pvesh.change(START),
    ).resolves.toBe('');
  });
});

describe('a path', () => {
  it.each(['', '.', '..', 'a/b', 'a b'])('takes no value that leaves its place: %j', (value) => {
    expect(() => apiPath`/pools/${value}`).toThrow(RangeError);
  });
});
