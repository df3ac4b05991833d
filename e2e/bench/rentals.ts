/** How fast a paid contract becomes a login: one rental after another, and fifty at once. */
import { setTimeout as delay } from 'node:timers/promises';
import type { WireContract } from '@dc/shared/wire/contract';
import { makeSshIdentity } from '../ssh-login.ts';
import { startSystem } from '../start-system.ts';
import { freePort, type Bench } from './bench.ts';
import { figure, median, percentile } from './figure.ts';
import { Renter } from './renter.ts';
import { NO_RATE_LIMITS } from './without-limits.ts';

const RENTALS = 200;
const LOGINS = 30;
const AT_ONCE = 50;

export const rentals: Bench = {
  name: 'rentals',
  about: 'paid → agent starts, paid → ssh runs a command, and fifty rentals paid at once',
  async run(run) {
    run.progress('starting the system');
    const system = await startSystem({
      ...{ port: await freePort(), dataDir: run.folder(), coordinatorToml: NO_RATE_LIMITS },
    });
    run.onEnd(() => system.stop());
    const identity = await makeSshIdentity();
    run.onEnd(() => identity.remove());
    const renter = await Renter.arrive(system.url, identity);

    const floorHost = await renter.rentUntilActive(); // Stays up: logins to it are the floor.
    await renter.logIn(floorHost);
    const startsMs: number[] = [];
    const loginsMs: number[] = [];
    const floorsMs: number[] = [];
    for (let count = 1; count <= RENTALS; count += 1) {
      if (count % 50 === 1) run.progress(`rental ${String(count)} of ${String(RENTALS)}`);
      const contract = await renter.rentUntilActive();
      if (count <= LOGINS) {
        await renter.logIn(contract);
        loginsMs.push(Date.now() - paidAt(contract));
        floorsMs.push(await renter.logIn(floorHost));
      }
      startsMs.push(startedAt(contract) - paidAt(contract));
      await renter.cancel(contract);
    }
    run.progress(`${String(AT_ONCE)} at once`);
    const burst = await rentAtOnce(renter);
    return [
      figure('paid → agent starts, p50', 'ms', median(startsMs), { target: { atMost: 50 } }),
      figure('paid → agent starts, p99', 'ms', percentile(startsMs, 0.99), { target: { atMost: 250 } }),
      figure('paid → ssh runs a command, p50', 'ms', median(loginsMs), {
        target: { atMost: 700 },
        floor: median(floorsMs),
      }),
      figure('paid → ssh runs a command, p99', 'ms', percentile(loginsMs, 0.99), {
        floor: percentile(floorsMs, 0.99),
      }),
      figure(`${String(AT_ONCE)} paid at once: all reachable`, 's', burst.reachableMs / 1000, {
        target: { atMost: 5 },
      }),
      figure(`${String(AT_ONCE)} paid at once: ssh has run on all`, 's', burst.loginsMs / 1000, {
        floor: burst.floorMs / 1000,
      }),
    ];
  },
};

/** Rents fifty, and measures from the first payment until each has shown its host key to the coordinator. */
async function rentAtOnce(
  renter: Renter,
): Promise<{ reachableMs: number; loginsMs: number; floorMs: number }> {
  const contracts = await Promise.all(Array.from({ length: AT_ONCE }, () => renter.rentUntilActive()));
  const firstPaidAt = Math.min(...contracts.map(paidAt));
  const reachableMs = Math.max(...contracts.map((contract) => timeOf(contract.active_at))) - firstPaidAt;
  // The floor is fifty logins at once to instances that stand: on a small machine the clients take most of it.
  const floorStartedAt = performance.now();
  await Promise.all(contracts.map((contract) => renter.logIn(contract)));
  const floorMs = performance.now() - floorStartedAt;
  await Promise.all(contracts.map((contract) => renter.cancel(contract)));
  await delay(1000);
  const again = await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      const contract = await renter.rentUntilActive();
      await renter.logIn(contract);
      return { contract, doneAt: Date.now() };
    }),
  );
  const loginsMs =
    Math.max(...again.map(({ doneAt }) => doneAt)) -
    Math.min(...again.map(({ contract }) => paidAt(contract)));
  await Promise.all(again.map(({ contract }) => renter.cancel(contract)));
  return { reachableMs, loginsMs, floorMs };
}

const timeOf = (timestamp: string | null): number => {
  if (timestamp === null) throw new Error('the contract has not got that far');
  return Date.parse(timestamp);
};
const paidAt = (contract: WireContract): number => timeOf(contract.paid_at);
const startedAt = (contract: WireContract): number =>
  timeOf(contract.timeline.find(({ to }) => to === 'provisioning')?.at ?? null);
