/** The arguments of `npm test`. */
import { describe, expect, it } from 'vitest';
import { QEMU_NEEDS } from '../agent/src/pve-sim/qemu/qemu-needs.ts';
import { parseArguments } from './arguments.ts';
import { LANES, missingNeeds } from './lanes.ts';

describe('parseArguments', () => {
  it('runs every lane when nothing is asked for', () => {
    expect(parseArguments([], LANES)).toEqual({
      laneNames: ['check', 'unit', 'e2e', 'machines', 'browser'],
      vitestArguments: [],
    });
  });

  it('picks lanes by name, in either spelling', () => {
    expect(parseArguments(['--lane', 'unit', '--lane=e2e'], LANES).laneNames).toEqual(['unit', 'e2e']);
  });

  it('hands the rest to vitest, and then leaves out what is not vitest', () => {
    expect(parseArguments(['agent/src/journal', '-t', 'crash'], LANES)).toEqual({
      laneNames: ['unit', 'e2e', 'machines', 'browser'],
      vitestArguments: ['agent/src/journal', '-t', 'crash'],
    });
  });

  it('refuses a lane that there is not, and a missing name', () => {
    expect(() => parseArguments(['--lane', 'nope'], LANES)).toThrow(
      'the lanes are check, unit, e2e, machines, browser',
    );
    expect(() => parseArguments(['--lane'], LANES)).toThrow('There is no lane ""');
  });
});

describe('missingNeeds', () => {
  it('names the programs that no folder of the search path has', () => {
    const needs = [
      { program: 'sh', debianPackage: 'dash' },
      { program: 'no-such-program', debianPackage: 'none' },
    ];
    expect(missingNeeds(needs, '/bin:/usr/bin').map(({ program }) => program)).toEqual(['no-such-program']);
    expect(missingNeeds(needs, '')).toEqual(needs);
  });
});

describe('the lane with real machines', () => {
  it('has what they need installed', () => {
    const { needs } = LANES.find(({ name }) => name === 'machines')!;
    expect(needs).toEqual(expect.arrayContaining([...QEMU_NEEDS]));
  });
});
