/** An agent as tests play it: it leases work, and reports in a chain of its own. */
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { hashJws } from '@dc/shared/crypto/jws';
import { CHAIN_START, signRecord, type RecordKind, type RecordPayload } from '@dc/shared/evidence/record';
import type { WireHeartbeat, WireLease, WireRecordResult, WireReturnWork } from '@dc/shared/wire/agent';
import { beat, expectStatus } from './people.ts';
import type { Answer } from './test-client.ts';
import type { TestCoordinator } from './test-coordinator.ts';

/** What a record says beside its kind and contract. */
export interface RecordWords {
  epoch?: number;
  data?: Record<string, unknown>;
  environment?: string;
}

export interface RecordsAnswerBody {
  results: WireRecordResult[];
  checkpoint: string;
  code?: string;
  detail?: string;
  expected_seq?: number;
}

export class AgentPlayer {
  readonly key: SigningKey;
  /** Whom it talks to: another one after a restart. */
  coordinator: TestCoordinator;
  #seq = 0;
  #prev = CHAIN_START;

  constructor(coordinator: TestCoordinator, key: SigningKey) {
    this.coordinator = coordinator;
    this.key = key;
  }

  /** The number of the newest record that it signed. */
  get seq(): number {
    return this.#seq;
  }

  /** Says that it lives. */
  beat(words: Partial<WireHeartbeat> = {}): Promise<void> {
    return beat(this.coordinator, this.key, words);
  }

  async lease(max = 10): Promise<WireLease[]> {
    const { client } = this.coordinator;
    const answer = await client.post<{ leases: WireLease[] }>(
      '/agents/work/lease',
      { max },
      { key: this.key },
    );
    return expectStatus(answer, 200).leases;
  }

  /** The one lease that there is. */
  async leaseOne(): Promise<WireLease> {
    const leases = await this.lease();
    const [lease] = leases;
    if (lease === undefined || leases.length > 1) throw new Error(`${leases.length} leases, not one`);
    return lease;
  }

  renew({ order_id, epoch }: Pick<WireLease, 'order_id' | 'epoch'>): Promise<Answer> {
    return this.coordinator.client.post(`/agents/work/${order_id}/renew`, { epoch }, { key: this.key });
  }

  giveBack(
    { order_id, epoch }: WireLease,
    nothing_made: boolean,
    code: WireReturnWork['code'] = 'backend_unavailable',
  ): Promise<Answer> {
    const body = { epoch, code, detail: 'Not now.', nothing_made };
    return this.coordinator.client.post(`/agents/work/${order_id}/return`, body, { key: this.key });
  }

  /** The next record of the chain. */
  sign(kind: RecordKind, contractId: string, words: RecordWords = {}): string {
    const compact = signRecord(this.compose(kind, contractId, words), this.key);
    this.#seq += 1;
    this.#prev = hashJws(compact);
    return compact;
  }

  /** What the next record would say, for those who sign it otherwise. */
  compose(kind: RecordKind, contractId: string, words: RecordWords = {}): RecordPayload {
    return {
      seq: this.#seq + 1,
      prev: this.#prev,
      at: new Date(this.coordinator.clock.now()).toISOString(),
      environment: words.environment ?? 'test',
      kind,
      contract_id: contractId,
      epoch: words.epoch ?? 1,
      data: words.data ?? {},
    };
  }

  /** Delivers records as they are. */
  send(records: readonly string[]): Promise<Answer<RecordsAnswerBody>> {
    return this.coordinator.client.post<RecordsAnswerBody>('/agents/records', { records }, { key: this.key });
  }

  /** Signs and delivers one. */
  async report(kind: RecordKind, contractId: string, words: RecordWords = {}): Promise<WireRecordResult> {
    const { results } = expectStatus(await this.send([this.sign(kind, contractId, words)]), 200);
    return results[0] as WireRecordResult;
  }
}
