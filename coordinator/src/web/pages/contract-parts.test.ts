import { CONTRACT_STATES } from '@dc/shared/state/contract';
import { describe, expect, it } from 'vitest';
import { aContract, CONTRACTS, PREVIEW_NOW } from '../testing/preview-data.ts';
import {
  CONTRACT_PARTS,
  knownHostsLine,
  sshCommand,
  type ContractView,
  type Viewer,
} from './contract-parts.ts';

const render = (
  contract: ContractView['contract'],
  identityFile: string | null = null,
  viewer: Viewer = 'renter',
): string =>
  Object.values(CONTRACT_PARTS)
    .map((part) => String(part({ contract, now: PREVIEW_NOW, viewer, identityFile }) ?? ''))
    .join('\n');
const words = (markup: string): string => markup.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ');

describe('the page of a contract', () => {
  it('explains every state, and shows none as the raw word', () => {
    for (const [index, state] of CONTRACT_STATES.entries()) {
      const markup = render(CONTRACTS[index] ?? aContract(0, state));
      expect(markup).not.toMatch(/>\s*(requested|accepted|provisioning|provisioned|active)\s*</);
      expect(words(markup).length).toBeGreaterThan(100);
    }
  });

  it('offers to cancel exactly while there is something to cancel', () => {
    for (const contract of CONTRACTS) {
      const canCancel = contract.refund_if_cancelled_now !== null;
      expect(render(contract).includes('id="cancel-open"'), contract.state).toBe(canCancel);
    }
  });

  it('offers more time, with its price, to the renter alone, and cancelling not to the provider', () => {
    const active = CONTRACTS.find(({ state }) => state === 'active')!;
    const rented = CONTRACTS.filter((contract) => render(contract).includes('id="extend-open"'));
    expect(rented.map(({ state }) => state)).toEqual(['active']);
    expect(words(render(active))).toContain('0.009 USD an hour, 29 days at most');
    for (const viewer of ['provider', 'admin'] as const)
      expect(render(active, null, viewer)).not.toContain('extend-open');
    expect(render(active, null, 'provider')).not.toContain('cancel-open');
    expect(render(active, null, 'admin')).toContain('cancel-open');
  });

  it('shows what the provider has announced, and what of more time is not paid', () => {
    const active = CONTRACTS.find(({ state }) => state === 'active')!;
    expect(words(render(active))).toContain('Announced until 20 Nov 2026, 16:03 UTC');
    expect(words(render(active))).toContain('5 hours more for 0.045 USD: not paid yet.');
    expect(render({ ...active, notice: null })).not.toContain('announcement');
  });

  it('links to where the money is as soon as there is some', () => {
    for (const contract of CONTRACTS)
      expect(render(contract).includes(`/api/v1/contracts/${contract.id}/statement`), contract.state).toBe(
        contract.paid_at !== null,
      );
  });

  it('shows the ssh command only where one can log in', () => {
    const shown = CONTRACTS.filter((contract) => render(contract).includes('id="ssh-command"'));
    expect(shown.map(({ state }) => state)).toEqual(['active', 'paused']);
  });

  it('says what happened to the money of each contract that ended', () => {
    const text = (state: string) => words(render(CONTRACTS.find((contract) => contract.state === state)!));
    expect(text('cancelled')).toContain('Refunded: 0.162 USD.');
    expect(text('failed')).toContain('Refunded: 0.216 USD.');
    expect(text('failed')).toContain('Choose another offering');
    expect(text('rejected')).toContain('Refund on its way: 0.216 USD.');
    expect(text('expired')).toContain('nothing to refund');
    expect(words(render(aContract(0, 'cancelled', { paid_at: null })))).toContain('You were not charged.');
  });

  it('says who has seen that the login works', () => {
    expect(words(render(aContract(0, 'active')))).toContain('this coordinator saw the SSH port answer');
    expect(words(render(aContract(0, 'active', { verified_by: 'agent' })))).toContain(
      'the provider’s own agent',
    );
  });

  it('marks what ticks: the running stage and the time left', () => {
    expect(render(aContract(0, 'provisioning')).match(/data-since="[^"]+"\s*>4\.1 s</)).not.toBeNull();
    expect(render(aContract(0, 'active')).match(/data-until="[^"]+"\s*>18 h</)).not.toBeNull();
    expect(render(aContract(0, 'expired'))).not.toMatch(/data-(since|until)/);
  });

  it('renders the same markup for the same contract, so that only what changed is replaced', () => {
    for (const contract of CONTRACTS) expect(render(contract)).toBe(render(contract));
  });

  it('links to a web address only when it is one', () => {
    const access = { ...aContract(0, 'active').access!, web_url: 'javascript:alert(1)' };
    expect(render(aContract(0, 'active', { access }))).not.toContain('javascript:');
  });
});

describe('the commands', () => {
  const access = aContract(0, 'active').access!;

  it('name the private key file that was made in this browser', () => {
    expect(sshCommand(access, null)).toBe('ssh -p 42117 renter@127.0.0.1');
    expect(sshCommand(access, '~/.ssh/dc_ed25519')).toBe(
      'ssh -i ~/.ssh/dc_ed25519 -p 42117 renter@127.0.0.1',
    );
  });

  it('write hosts as known_hosts has them', () => {
    expect(knownHostsLine(access)).toMatch(/^\[127\.0\.0\.1\]:42117 ssh-ed25519 /);
    expect(knownHostsLine({ ...access, port: 22 })).toMatch(/^127\.0\.0\.1 ssh-ed25519 /);
  });
});
