import { expect, it } from 'vitest';
import { KeyedMutex } from './keyed-mutex.ts';

it('runs work under one key in order, one at a time, and under other keys at once', async () => {
  const mutex = new KeyedMutex();
  const log: string[] = [];
  const work = (name: string, turns: number) => async () => {
    log.push(`${name} begins`);
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    log.push(`${name} ends`);
    return name;
  };
  const results = await Promise.all([
    mutex.run('a', work('first', 50)),
    mutex.run('a', work('second', 1)),
    mutex.run('b', work('other', 5)),
  ]);
  expect(results).toEqual(['first', 'second', 'other']);
  expect(log.filter((line) => !line.startsWith('other'))).toEqual([
    'first begins',
    'first ends',
    'second begins',
    'second ends',
  ]);
  expect(log.indexOf('other ends')).toBeLessThan(log.indexOf('first ends'));
});

it('gives a failure to its own caller only', async () => {
  const mutex = new KeyedMutex();
  const failing = mutex.run('a', () => Promise.reject(new Error('mine')));
  const next = mutex.run('a', async () => 'fine');
  await expect(failing).rejects.toThrow('mine');
  expect(await next).toBe('fine');
});
