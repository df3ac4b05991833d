/** Which usernames nobody can have: those that would pass for us, for a path of the page, or for an office. */

const RESERVED = new Set(
  [
    'about account accounts admin administrator agent agents anonymous api billing contact contract contracts',
    'coordinator dc dc-agent dc-coordinator docs help hostmaster info legal login logout mail me moderator null',
    'official offering offerings operator owner payments postmaster provider providers public rent root security',
    'session sessions settings setup staff static status support system team test undefined user users webmaster www',
  ]
    .join(' ')
    .split(' '),
);

/** Whether `username` is kept back. Dots, dashes and underlines do not make another name of it. */
export function isReserved(username: string): boolean {
  return RESERVED.has(username) || RESERVED.has(username.replaceAll(/[._-]/g, ''));
}
