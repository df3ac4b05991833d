import { beforeEach, describe, expect, it } from 'vitest';
import { expectStatus, keyOf, makeAccount } from '../testing/people.ts';
import { startTestCoordinator, type TestCoordinator } from '../testing/test-coordinator.ts';

let coordinator: TestCoordinator;
beforeEach(async () => {
  coordinator = await startTestCoordinator();
});

describe('POST /accounts', () => {
  it('makes an account of the key that signs', async () => {
    const key = keyOf('ada');
    const answer = await coordinator.client.post(
      '/accounts',
      { public_key: key.publicKey, username: 'ada' },
      { key },
    );
    expect(expectStatus(answer, 201)).toMatchObject({ pubkey: key.publicKey, username: 'ada' });
  });
});
describe('GET', () => {
  it('me', async () => {
    const key = await makeAccount(coordinator, 'ada');
    const answer = await coordinator.client.get('/accounts/me', { key });
    expect(expectStatus(answer, 200)).toMatchObject({ pubkey: key.publicKey, username: 'ada' });
  });
});
