/** `dc-agent provider …`: what a provider does before there is an agent: register, offer, get a setup token. */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { AppError } from '@dc/shared/errors';
import { toHex } from '@dc/shared/ids';
import { formatMoney, fromWire, parseMoney, toWire } from '@dc/shared/money/money';
import type { WireCreateOffering } from '@dc/shared/wire/offering';
import { BILLING_UNITS } from '@dc/shared/wire/usage';
import { readSecretFile } from '../config/key-files.ts';
import { textOption, type Command, type CommandInput, type CommandWorld } from '../lib/command.ts';
import { EXIT } from '../lib/exit-code.ts';
import { writeFileAtomically } from '../lib/write-file.ts';
import { choosePool, type ProviderApi } from './provider-api.ts';

const CONNECTION = [
  { flags: '--coordinator <url>', description: 'the address of the coordinator' },
  {
    flags: '--key <file>',
    description:
      'the provider’s own key: keep it off the machines that agents run on (default: dc-agent/provider.key in ' +
      '$XDG_CONFIG_HOME or ~/.config)',
  },
] as const;
const POOL = { flags: '--pool <id>', description: 'which pool, where there are several' } as const;

export const providerRegisterCommand: Command = {
  name: 'provider register',
  summary: 'become a provider: key, account and a first pool',
  description:
    'Makes the provider’s key if there is none, its account and its first pool. Safe to run again.',
  options: [
    ...CONNECTION,
    { flags: '--name <text>', description: 'the name that renters see' },
    { flags: '--country <code>', description: 'where the machines are, such as DE' },
  ],
  async run(input, world) {
    const name = required(input, 'name');
    const country = required(input, 'country');
    required(input, 'coordinator'); // Before a key is made for nothing.
    const file = keyFile(input, world);
    if (!existsSync(file)) {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
      writeFileAtomically(file, `${toHex(world.random.bytes(32))}\n`);
      world.print(`Made the provider's key: ${file}. Back it up; nobody can restore it.`);
    }
    return withApi(input, world, async (api, key) => {
      const pool = await api.register({ name, country });
      world.print(`Provider  ${key.publicKey}\nPool      ${pool.id} (${pool.name}, ${pool.country})`);
      world.print('\nNext:  dc-agent provider offer …\n       dc-agent provider token …');
    });
  },
};

/** Where an offering is served from: a pool, or a country without one. */
async function placeOf(
  input: CommandInput,
  api: ProviderApi,
): Promise<Pick<WireCreateOffering, 'pool_id' | 'country'>> {
  const country = textOption(input, 'country');
  const wanted = textOption(input, 'pool');
  if (country !== null && wanted !== null)
    throw new AppError('COMMAND_USAGE', 'An offering is of a pool or of a country, not of both.');
  if (country !== null) return { country };
  const pool = choosePool(await api.listPools(), wanted);
  return { pool_id: pool.id, country: pool.country };
}

export const providerOfferCommand: Command = {
  name: 'provider offer',
  summary: 'put an offering up for sale',
  options: [
    ...CONNECTION,
    POOL,
    {
      flags: '--country <code>',
      description: 'instead of a pool: whichever of your pools there has room serves it',
    },
    { flags: '--title <text>', description: 'what it is called' },
    { flags: '--description <text>', description: 'what there is to say about it', defaultValue: '' },
    { flags: '--cpu <n>', description: 'virtual processors' },
    { flags: '--memory-mb <n>', description: 'memory' },
    { flags: '--disk-gb <n>', description: 'disk' },
    { flags: '--os <names>', description: 'operating systems, separated by commas' },
    { flags: '--price <amount>', description: 'for an hour, such as "0.008 USD"' },
    { flags: '--setup-fee <amount>', description: 'once, such as "0.50 USD"; nothing unless given' },
    {
      flags: '--unit-price <amount>',
      description: 'for each unit of use beyond the rent; nothing unless given',
    },
    { flags: '--unit <name>', description: 'of use: minute, hour, day or month', defaultValue: 'hour' },
    {
      flags: '--included <n>',
      description: 'units of use that the rent includes in 30 days',
      defaultValue: '0',
    },
    { flags: '--min-hours <n>', description: 'the shortest rental', defaultValue: '1' },
    { flags: '--max-hours <n>', description: 'the longest rental', defaultValue: '720' },
    { flags: '--places <n>', description: 'how many can be rented at once' },
  ],
  async run(input, world) {
    const price = parseMoney(required(input, 'price'));
    const fee = textOption(input, 'setupFee');
    const setupFee = fee === null ? { amountE9s: 0n, currency: price.currency } : parseMoney(fee);
    return withApi(input, world, async (api) => {
      const offering = await api.offer({
        title: required(input, 'title'),
        description: textOption(input, 'description') ?? '',
        ...(await placeOf(input, api)),
        cpu: count(input, 'cpu'),
        memory_mb: count(input, 'memoryMb'),
        disk_gb: count(input, 'diskGb'),
        operating_systems: required(input, 'os')
          .split(',')
          .map((os) => os.trim()),
        price_per_hour: toWire(price),
        setup_fee: toWire(setupFee),
        ...usagePrice(input),
        min_hours: count(input, 'minHours'),
        max_hours: count(input, 'maxHours'),
        places: count(input, 'places'),
      });
      const hourly = formatMoney(fromWire(offering.price_per_hour));
      world.print(`Offering  ${offering.id}: ${offering.title}, ${hourly} an hour`);
    });
  },
};

/** What use beyond the rent costs; nothing where the rent is all. */
function usagePrice(input: CommandInput): Partial<WireCreateOffering> {
  const price = textOption(input, 'unitPrice');
  if (price === null) return {};
  const unit = BILLING_UNITS.find((name) => name === textOption(input, 'unit'));
  if (unit === undefined)
    throw new AppError('COMMAND_USAGE', `A unit of use is one of: ${BILLING_UNITS.join(', ')}.`);
  const price_per_unit = toWire(parseMoney(price));
  return {
    pricing_model: 'usage',
    billing_unit: unit,
    price_per_unit,
    included_units: count(input, 'included'),
  };
}

export const providerTokenCommand: Command = {
  name: 'provider token',
  summary: 'make a setup token for one agent',
  description:
    'Prints a token that registers one agent in the pool. It is a secret: paste it into `dc-agent setup token` on ' +
    'the agent’s machine. The coordinator never sees it.',
  options: [
    ...CONNECTION,
    POOL,
    { flags: '--hours <n>', description: 'how long it can be used', defaultValue: '1' },
  ],
  run: (input, world) =>
    withApi(input, world, async (api) => {
      const pool = choosePool(await api.listPools(), textOption(input, 'pool'));
      world.print(await api.grantSetupToken(pool.id, count(input, 'hours') * 3600));
    }),
};

async function withApi(
  input: CommandInput,
  world: CommandWorld,
  work: (api: ProviderApi, key: SigningKey) => Promise<void>,
): Promise<number> {
  const url = required(input, 'coordinator');
  const file = keyFile(input, world);
  if (!existsSync(file)) {
    throw new AppError('KEY_FILE_INVALID', `The provider's key ${file} is missing.`, {
      remedy: 'Name it with --key; or become a provider: dc-agent provider register',
    });
  }
  const key = SigningKey.fromSeed(readSecretFile(file));
  const { ProviderApi } = await import('./provider-api.ts');
  const api = new ProviderApi({ url, key, clock: world.clock, random: world.random });
  try {
    await work(api, key);
    return EXIT.ok;
  } finally {
    await api.close();
  }
}

/** Never in the current folder by itself: in a git checkout a private key would soon be published. */
function keyFile(input: CommandInput, world: CommandWorld): string {
  const named = textOption(input, 'key');
  if (named !== null) return named;
  const { userConfigDir } = world.environment;
  if (userConfigDir === null)
    throw new AppError('COMMAND_USAGE', 'There is no HOME: name the key with --key.');
  return join(userConfigDir, 'dc-agent', 'provider.key');
}

function required(input: CommandInput, name: string): string {
  const value = textOption(input, name);
  const flag = `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  if (value === null || value === '') throw new AppError('COMMAND_USAGE', `${flag} is missing.`);
  return value;
}

function count(input: CommandInput, name: string): number {
  const text = required(input, name);
  if (!/^[0-9]{1,9}$/.test(text)) throw new AppError('COMMAND_USAGE', `"${text}" is not a whole number.`);
  return Number(text);
}
