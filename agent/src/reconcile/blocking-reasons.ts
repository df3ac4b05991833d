/** Why the agent is not going on with a contract: one table of codes, with what to say and what to do. */

interface ReasonRow {
  /** One sentence for the operator. */
  readonly text: string;
  /** What to do about it, or why nothing needs doing. */
  readonly remedy: string;
  /** The one command that helps; null where there is none. */
  readonly command: string | null;
}

/** Every reason. */
export const BLOCKING_REASONS = {
  lease_lost: {
    text: 'The coordinator’s lease on this work is lost or was not renewed in time.',
    remedy:
      'Nothing to do: the work goes on when the coordinator leases it again. Check the connection if it does not.',
    command: 'dc-agent doctor',
  },
  retry_later: {
    text: 'The last try failed; the next one has its time.',
    remedy: 'Nothing to do yet. See the last attempts for what is in the way.',
    command: null,
  },
  needs_attention: {
    text: 'Many tries have failed, and this must work in the end. The agent goes on trying.',
    remedy: 'See the last attempts, and mend what they name at the backend.',
    command: 'dc-agent doctor',
  },
  waiting_for_slot: {
    text: 'As many contracts as allowed are being worked on at this backend.',
    remedy:
      'Nothing to do: it is next in line. Allow more at once in the configuration if the backend can take it.',
    command: null,
  },
  saga_unknown: {
    text: 'The work was begun by another version of this program.',
    remedy: 'Install that version or a newer one; until then the work is left as it is.',
    command: null,
  },
  instance_missing: {
    text: 'The backend says that the instance is gone, and no order asked for that.',
    remedy: 'Look at the backend. The agent does not build it again: what was on it is lost.',
    command: 'dc-agent doctor',
  },
  destruction_paused: {
    text: 'More instances than usual were to be destroyed within an hour, so the agent stopped to ask.',
    remedy: 'Check that these contracts have really ended, then confirm.',
    command: 'dc-agent confirm',
  },
} as const satisfies Record<string, ReasonRow>;

export type BlockingReason = keyof typeof BLOCKING_REASONS;
