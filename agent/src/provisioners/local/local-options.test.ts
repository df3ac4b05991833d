import { describe, expect, it } from 'vitest';
import { isAppError } from '@dc/shared/errors';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import { openProvisioner, problemsOfOptions } from '../registry.ts';

describe('the options of the local driver', () => {
  it('may all be left out', () => {
    expect(problemsOfOptions('local', {})).toEqual([]);
  });

  it('take loopback addresses', () => {
    for (const bind of ['127.0.0.1', '127.1.2.3', '::1'])
      expect(problemsOfOptions('local', { bind })).toEqual([]);
  });

  it('refuse every other address and every name', () => {
    for (const bind of [
      '0.0.0.0',
      '::',
      '192.168.1.1',
      'localhost',
      '127.0.0.1.example.org',
      '::ffff:10.0.0.1',
      '',
    ]) {
      expect(problemsOfOptions('local', { bind })).toMatchObject([{ pointer: '/bind' }]);
    }
  });

  it.each([
    [{ port_first: 5000 }, '/port_first'],
    [{ port_first: 5001, port_last: 5000 }, '/port_last'],
    [{ port_first: 0, port_last: 5000 }, '/port_first'],
    [{ user: 'Robert; DROP' }, '/user'],
    [{ capacity: { instances: -1 } }, '/capacity/instances'],
  ])('are refused when they make no sense: %j', (options, pointer) => {
    expect(problemsOfOptions('local', options).map((problem) => problem.pointer)).toContain(pointer);
  });

  it('are refused with a key that there is not', () => {
    expect(problemsOfOptions('local', { binds: 'x' })).not.toEqual([]);
  });
});

describe('opening a driver by its name', () => {
  const context = {
    clock: systemClock,
    random: systemRandom,
    sealSecret: Buffer.alloc(32),
    stateDir: '/nonexistent/x',
  };

  it.each([
    ['nosuch', {}],
    ['constructor', {}],
    ['local', { bind: '0.0.0.0' }],
  ])('fails before it touches anything: %s %j', async (kind, options) => {
    const opening = openProvisioner(kind, options, context);
    await expect(opening).rejects.toSatisfy((error) => isAppError(error, 'CONFIG_INVALID'));
  });
});
