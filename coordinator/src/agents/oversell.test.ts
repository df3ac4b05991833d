/** Whatever people and agents do, in whatever order and however late they look: no agent gets more than it has room for. */
import { hashIncluded, signCapacity } from '@dc/shared/evidence/capacity';
import type { WireLease } from '@dc/shared/wire/agent';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { AgentPlayer } from '../testing/agent-player.ts';
import { addAgent, atPrivateAddress, cancel, openMarket, tryToRent, type Market } from '../testing/rental.ts';

const DISK_GB = 40;
/** Three fit on the one and one on the other: together they would hold more. */
const STORAGES = { a: 3 * DISK_GB + 39, b: DISK_GB + 39 };
const PLACES = 4;

/** A backend and the agent that works on it: what is there, and where. */
interface Host {
  player: AgentPlayer;
  there: Map<string, keyof typeof STORAGES>;
}

interface World {
  market: Market;
  hosts: readonly Host[];
  contracts: string[];
}

type Action = (world: World, pick: number) => Promise<void>;

const at = <T>(items: readonly T[], pick: number): T | undefined => items[pick % items.length];

function look(
  { market }: World,
  { player, there }: Host,
): { capacity_statement: string; capacity_includes: string[] } {
  const now = market.coordinator.clock.now();
  const used = (name: string) => [...there.values()].filter((storage) => storage === name).length * DISK_GB;
  const includes = [...there.keys()];
  const statement = {
    environment: 'test',
    backend: null,
    seen_at: new Date(now).toISOString(),
    expires_at: new Date(now + 180_000).toISOString(),
    cpu: 1_000,
    memory_mb: 1e9,
    instances: 1_000,
    storages: Object.entries(STORAGES).map(([name, gb]) => ({ name, free_gb: gb - used(name) })),
    addresses: null,
    port_blocks: null,
    includes: hashIncluded(includes),
  };
  return { capacity_statement: signCapacity(statement, player.key), capacity_includes: includes };
}

/** The first storage with room: not the one that the coordinator would have taken. */
function place({ there }: Host): keyof typeof STORAGES | undefined {
  return (['a', 'b'] as const).find((name) => {
    const used = [...there.values()].filter((storage) => storage === name).length * DISK_GB;
    return used + DISK_GB <= STORAGES[name];
  });
}

const ACTIONS: Readonly<Record<string, Action>> = {
  async rent(world) {
    const answer = await tryToRent(world.market);
    if (answer.status === 201) world.contracts.push(answer.body.id);
    else expect(answer.body).toMatchObject({ code: 'OFFERING_SOLD_OUT' });
  },
  async cancel(world, pick) {
    const id = at(world.contracts, pick);
    if (id !== undefined) await cancel(world.market, id);
  },
  async look(world, pick) {
    const host = at(world.hosts, pick)!;
    await host.player.beat(look(world, host));
  },
  /** Takes one item and does it; looks then, or later. */
  async work(world, pick) {
    const host = at(world.hosts, pick)!;
    const [lease] = await host.player.lease(1);
    if (lease !== undefined) await carryOut(host, lease);
  },
};

async function carryOut(host: Host, { contract_id: id, epoch, kind }: WireLease): Promise<void> {
  if (kind === 'provision') {
    const storage = place(host);
    expect(storage, `${id} at a host with ${host.there.size} of ${PLACES}`).toBeDefined();
    host.there.set(id, storage!);
    await host.player.report('provisioned', id, { epoch, data: atPrivateAddress });
  } else {
    host.there.delete(id);
    await host.player.report('destroyed', id, { epoch });
  }
}

it('no agent is ever given more than its storages hold, and no room is lost for good', async () => {
  const often = ['rent', 'rent', 'rent', 'work', 'work', 'work', 'look', 'cancel'];
  const steps = fc.array(fc.tuple(fc.constantFrom(...often), fc.nat(50)), { minLength: 25, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(steps, async (list) => {
      const market = await openMarket({ offering: { places: 1_000, disk_gb: DISK_GB } });
      const second = await addAgent(market, 'second');
      const hosts = [market.agent, second].map((player): Host => ({ player, there: new Map() }));
      const world = { market, hosts, contracts: [] };
      for (const host of hosts) await host.player.beat(look(world, host));
      for (const [name, pick] of list) await ACTIONS[name]!(world, pick);
      // Everything ends, and everybody looks: all of it can be sold again.
      for (const id of world.contracts) await cancel(market, id);
      for (const host of hosts) for (const lease of await host.player.lease(100)) await carryOut(host, lease);
      for (const host of hosts) await host.player.beat(look(world, host));
      let sold = 0;
      while ((await tryToRent(market)).status === 201) sold += 1;
      expect(sold).toBe(hosts.length * PLACES);
    }),
    { numRuns: 3, seed: 20_261_120 },
  );
}, 300_000);
