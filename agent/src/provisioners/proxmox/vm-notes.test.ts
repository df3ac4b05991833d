import { describe, expect, it } from 'vitest';
import { readNotes, writeNotes } from './vm-notes.ts';

const notes = { seal: 'dc1.c-1.test.AAAA', contractId: 'c-1', token: 'tok_1' };

describe('the notes on a VM', () => {
  it('are read as they were written, with whatever line ends Proxmox gives them', () => {
    expect(readNotes(writeNotes(notes))).toEqual(notes);
    expect(readNotes(`${writeNotes(notes).replaceAll('\n', '\r\n')}\n`)).toEqual(notes);
    expect(readNotes(`my own words\n${writeNotes(notes)}\nand more`)).toEqual(notes);
  });

  it('are none where something is missing or said twice', () => {
    expect(readNotes(undefined)).toBeNull();
    expect(readNotes('a VM of mine')).toBeNull();
    expect(readNotes(writeNotes(notes).replace('dc-token', 'dc-taken'))).toBeNull();
    expect(readNotes(`${writeNotes(notes)}\ndc-seal: dc1.other.test.BBBB`)).toBeNull();
  });
});
