/** Asks the coordinator, without a key, what this provider sells: what a backend has to be able to make. */
import type { Clock } from '@dc/shared/clock';
import { isAppError } from '@dc/shared/errors';
import type { Random } from '@dc/shared/random';
import { listOf } from '@dc/shared/wire/schema-parts';
import { Offering } from '@dc/shared/wire/offering';
import type { Config } from '../config/config-schema.ts';
import { HttpTransport } from '../coordinator-client/http-transport.ts';
import { parseAnswer } from '../coordinator-client/parse-answer.ts';
import type { Offer } from '../provisioners/registry.ts';

/** The provider's offerings; null where the coordinator does not say. */
export async function readOffers(
  { coordinator, providerKey }: Config,
  { clock, random, signal }: { clock: Clock; random: Random; signal: AbortSignal },
): Promise<Offer[] | null> {
  const transport = new HttpTransport({ url: coordinator.url, clock, random, key: null });
  try {
    const path = `/offerings?provider=${providerKey}&limit=200`;
    const { body } = await transport.send({ method: 'GET', path, isRepeatable: true, signal });
    return parseAnswer(listOf(Offering), body).items.map((offering) => ({
      title: offering.title,
      operatingSystems: offering.operating_systems,
      cpu: offering.cpu,
      memoryMb: offering.memory_mb,
      diskGb: offering.disk_gb,
    }));
  } catch (error) {
    if (!isAppError(error)) throw error;
    return null; // The check of the coordinator says why.
  } finally {
    await transport.close();
  }
}
