/** Classic mistakes, put into the ports of an agent on request: the simulation has to notice each of them. */
import type { Coordinator } from '../../agent/src/coordinator-client/coordinator.ts';
import { isOfContract } from '../../agent/src/provisioners/instance-id.ts';
import type { Provisioner } from '../../agent/src/provisioners/provisioner.ts';
import type { WatchedBackend } from './watched-backend.ts';
import type { PlantedBug } from './world.ts';

/** The driver with the mistakes that drivers make. */
export function plantInProvisioner(
  bug: PlantedBug | null,
  driver: Provisioner,
  backend: WatchedBackend,
): Provisioner {
  if (bug === 'adopts_unsealed') return adoptsUnsealed(driver, backend);
  if (bug === 'error_is_absent') return takesErrorsForAbsence(driver);
  return driver;
}

/** The connection with the mistake of going on without a lease. */
export function plantInWire(bug: PlantedBug | null, wire: Coordinator): Coordinator {
  if (bug !== 'no_fencing') return wire;
  wire.renewLease = (_orderId, epoch) => Promise.resolve({ epoch, ttlMs: 20_000 });
  return wire;
}

/** Believes the name of an object that is there already. */
function adoptsUnsealed(driver: Provisioner, backend: WatchedBackend): Provisioner {
  const create = driver.create.bind(driver);
  driver.create = async (request, signal) => {
    const there = [...backend.objects.values()].find(({ id }) => isOfContract(id, request.contractId));
    if (there?.seal !== null || there === undefined) return create(request, signal);
    const list = await driver.list(signal);
    const found = list.instances.find(({ handle }) => handle.id === there.id);
    return found === undefined
      ? create(request, signal)
      : { ...found, seal: request.seal, contractId: request.contractId };
  };
  return driver;
}

function takesErrorsForAbsence(driver: Provisioner): Provisioner {
  const inspect = driver.inspect.bind(driver);
  driver.inspect = async (handle, signal) => {
    const existence = await inspect(handle, signal);
    return existence.existence === 'unknown'
      ? { existence: 'absent', evidence: existence.reason }
      : existence;
  };
  const list = driver.list.bind(driver);
  driver.list = async (signal) => {
    const found = await list(signal).catch(() => ({ complete: false, instances: [] }));
    return found.complete ? found : { complete: true, instances: [] };
  };
  return driver;
}
