import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Journal } from '../journal/journal.ts';
import { openJournal } from '../journal/open-journal.ts';
import { SILENT } from '../lib/log.ts';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import { seededRandom } from '../testing/seeded-random.ts';
import { Contact } from './contact.ts';
import { FACTS, readTimeFact } from './facts.ts';

let journal: Journal;
let clock: ManualClock;
let contact: Contact;
let writes: string[];

beforeEach(() => {
  writes = [];
  journal = openJournal(':memory:', {
    random: seededRandom(1),
    onWrite: (label, moment) => {
      if (moment === 'after') writes.push(label);
    },
  });
  clock = new ManualClock();
  contact = new Contact({ journal, clock, log: SILENT });
});
afterEach(() => journal.close());

describe('contact with the coordinator', () => {
  it('is written down once a minute, not at every answer', async () => {
    for (let second = 0; second < 180; second += 1) {
      contact.seen();
      await clock.advance(1_000);
    }
    expect(writes).toHaveLength(3);
    expect(readTimeFact(journal, FACTS.lastContactAt)).toBe(clock.now() - 60_000);
    expect(contact.lastSeenAt).toBe(clock.now() - 1_000);
  });

  it('counts as lost after 90 s of silence, which is written down once, and so is its return', async () => {
    contact.seen();
    await clock.advance(89_000);
    contact.recordLoss();
    expect(readTimeFact(journal, FACTS.contactLostAt)).toBeNull();
    await clock.advance(2_000);
    expect(contact.isFresh).toBe(false);
    contact.recordLoss();
    const lostAt = clock.now();
    await clock.advance(60_000);
    contact.recordLoss();
    expect(readTimeFact(journal, FACTS.contactLostAt)).toBe(lostAt);
    contact.seen();
    expect(readTimeFact(journal, FACTS.contactLostAt)).toBeNull();
    expect(contact.isFresh).toBe(true);
  });

  it('may be rarer where the coordinator wants it so', async () => {
    contact.expectEvery(120_000);
    contact.seen();
    await clock.advance(300_000);
    expect(contact.isFresh).toBe(true);
  });

  it('is not lost because somebody set the clock', () => {
    contact.seen();
    clock.jump(86_400_000);
    expect(contact.isFresh).toBe(true);
  });
});
