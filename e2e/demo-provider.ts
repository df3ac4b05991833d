/** The demonstration's provider, set up as a real one would be: by the calls behind `dc-agent provider …`. */
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { parseMoney, toWire } from '@dc/shared/money/money';
import type { WireOffering } from '@dc/shared/wire/offering';
import { ProviderApi } from '../agent/src/provider/provider-api.ts';
import { systemClock } from '../agent/src/lib/system-clock.ts';
import { systemRandom } from '../agent/src/lib/system-random.ts';

/** What the demonstration rents out. */
export interface DemoOffering {
  readonly title: string;
  readonly description: string;
  readonly size: { readonly cpu: number; readonly memory_mb: number; readonly disk_gb: number };
  readonly price: string;
  readonly setupFee: string;
  readonly places: number;
  readonly operatingSystem: string;
}

/** Shells on this machine. */
export const LOCAL_OFFERINGS: readonly DemoOffering[] = [
  {
    title: 'Demo S',
    description: 'A shell on this machine: for trying the whole way from rent to login.',
    size: { cpu: 1, memory_mb: 1024, disk_gb: 10 },
    price: '0.008 USD',
    setupFee: '0 USD',
    places: 200,
    operatingSystem: 'Local shell',
  },
  {
    title: 'Demo M',
    description: 'The same shell, with a higher price to see the refund by.',
    size: { cpu: 2, memory_mb: 4096, disk_gb: 40 },
    price: '0.024 USD',
    setupFee: '0 USD',
    places: 100,
    operatingSystem: 'Local shell',
  },
  {
    title: 'Demo L',
    description: 'The same shell, with a set-up fee.',
    size: { cpu: 4, memory_mb: 8192, disk_gb: 80 },
    price: '0.055 USD',
    setupFee: '0.50 USD',
    places: 50,
    operatingSystem: 'Local shell',
  },
];

/** Makes what is missing of provider, pool and offerings, and returns a setup token. Can be cut off and run again. */
export async function setUpDemoProvider(
  url: string,
  key: SigningKey,
  offerings: readonly DemoOffering[],
): Promise<string> {
  const api = new ProviderApi({ url, key, clock: systemClock, random: systemRandom });
  try {
    const pool = await api.register({ name: 'Demo provider', country: 'DE' });
    const listed = await fetch(`${url}/api/v1/offerings?provider=${key.publicKey}`);
    const titles = ((await listed.json()) as { items: WireOffering[] }).items.map(({ title }) => title);
    for (const { title, description, size, price, setupFee, places, operatingSystem } of offerings) {
      if (titles.includes(title)) continue;
      await api.offer({
        ...size,
        title,
        description,
        places,
        pool_id: pool.id,
        country: pool.country,
        operating_systems: [operatingSystem],
        price_per_hour: toWire(parseMoney(price)),
        setup_fee: toWire(parseMoney(setupFee)),
        min_hours: 1,
        max_hours: 720,
      });
    }
    return await api.grantSetupToken(pool.id, 3600);
  } finally {
    await api.close();
  }
}
