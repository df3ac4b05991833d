/**
 * The three stages of replacing the coordinator's key: announced (agents learn of the new key, the old one signs),
 * overlap (the new one signs, both count), retired (the old one counts no more, and its file can go). Each begins at
 * the time that the announcement names; only the first one and the last one's clean-up are commands.
 */
import { rmSync, statSync } from 'node:fs';
import { AppError } from '@dc/shared/errors';
import type { Clock } from '@dc/shared/clock';
import type { Random } from '@dc/shared/random';
import { ROTATION_START, signKeyRotation, type KeyRotation } from '@dc/shared/key-rotation/key-rotation';
import { ensureKeyFile, readKeyFile } from '../config/key-file.ts';
import { appendRotation, keyFileOf, readRotations } from './rotation-file.ts';

/** When the stages begin, in milliseconds from now and from one another. */
export interface RotationPlan {
  environment: string;
  keyFile: string;
  startInMs: number;
  overlapMs: number;
}

export interface RotationPorts {
  clock: Clock;
  random: Random;
}

/** Where a rotation stands. */
export type RotationStage = 'announced' | 'overlap' | 'retired';

export function stageOf({ starts, ends }: KeyRotation, nowMs: number): RotationStage {
  if (nowMs < starts * 1000) return 'announced';
  return nowMs < ends * 1000 ? 'overlap' : 'retired';
}

/**
 * Makes a new key and announces it. Throws KEY_ROTATION_PENDING while an earlier rotation is not over. A crash in
 * between leaves a key that nobody knows of, which the next call announces.
 */
export function announceKey(plan: RotationPlan, { clock, random }: RotationPorts): KeyRotation {
  const { environment, keyFile } = plan;
  const known = readRotations(keyFile);
  const last = known.at(-1);
  const now = clock.now();
  if (last !== undefined && stageOf(last, now) !== 'retired')
    throw new AppError(
      'KEY_ROTATION_PENDING',
      `The rotation to ${last.next} is not over before ${new Date(last.ends * 1000).toISOString()}.`,
    );
  const old = readKeyFile(keyFileOf(keyFile, known.length));
  const next = ensureKeyFile(keyFileOf(keyFile, known.length + 1), random);
  const starts = Math.ceil((now + plan.startInMs) / 1000);
  const terms = {
    environment,
    number: known.length + 1,
    prev: last?.hash ?? ROTATION_START,
    iat: Math.floor(now / 1000),
    starts,
    ends: starts + Math.ceil(plan.overlapMs / 1000),
  };
  appendRotation(keyFile, known, signKeyRotation(terms, old, next));
  const announced = readRotations(keyFile).at(-1);
  if (announced === undefined) throw new Error('the announcement is not in the file');
  return announced;
}

/** Deletes the files of keys that count no more; answers which keys those were. Again deletes nothing. */
export function deleteRetiredKeys(keyFile: string, clock: Clock): string[] {
  return readRotations(keyFile).flatMap((rotation) => {
    const file = keyFileOf(keyFile, rotation.number - 1);
    const isThere = statSync(file, { throwIfNoEntry: false }) !== undefined;
    if (!isThere || stageOf(rotation, clock.now()) !== 'retired') return [];
    rmSync(file);
    return [rotation.iss];
  });
}
