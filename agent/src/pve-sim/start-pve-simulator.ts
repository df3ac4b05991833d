/** Puts a simulator together and starts it. The way in for tests; `main.ts` is the way in from the command line. */
import { Authenticator } from './access/authenticate.ts';
import { VERSIONS } from './access/privileges.ts';
import { allRoutes } from './api/all-routes.ts';
import { answerRequest } from './api/answer-request.ts';
import { CallObserver } from './api/call-observer.ts';
import type { Route } from './api/route.ts';
import { RouteTable } from './api/route-table.ts';
import { buildCluster } from './build-cluster.ts';
import { Faults } from './faults/faults.ts';
import { scheduleEvents } from './faults/timed-events.ts';
import { ApiServer } from './http/api-server.ts';
import { makeCertificate, type Certificate } from './http/certificate.ts';
import { SimulatorControl } from './simulator-control.ts';
import type { PveSimulatorOptions } from './simulator-options.ts';

const HOST = '127.0.0.1';

/** A simulator that is running. */
export interface PveSimulator {
  /** `https://127.0.0.1:port`. */
  readonly url: string;
  /** SHA-256 of the certificate, upper-case hex pairs with colons. */
  readonly fingerprint: string;
  /** The certificate itself. */
  readonly certPem: string;
  /** A token that may do everything: `root@pam!sim=secret`, as it stands in the header after `PVEAPIToken=`. */
  readonly rootToken: string;
  /** Everything inside, to be set up, looked at and broken. */
  readonly control: SimulatorControl;
  /** Which calls were made, and what contradicted the vendor's description. */
  readonly observer: CallObserver;
  /** The calls that this version has. */
  readonly routes: readonly Route[];
  /** Ends all that runs in it. Idempotent. */
  close(): Promise<void>;
}

/** Starts a simulator. Rejects where its port is taken, or an option says something impossible. */
export async function startPveSimulator(options: PveSimulatorOptions): Promise<PveSimulator> {
  const { clock, random } = options;
  const version = VERSIONS[options.version ?? '8.4'];
  if (version === undefined)
    throw new Error(
      `There is no version ${options.version ?? ''}; there are ${Object.keys(VERSIONS).join(', ')}.`,
    );
  const faults = new Faults(options.faults, clock, random);
  const cluster = buildCluster(options, version, faults);
  const authenticator = new Authenticator(cluster.access, random.bytes(32), () => cluster.nowSeconds);
  const routes = new RouteTable(allRoutes(authenticator), version.major);
  const observer = new CallObserver(options.schema);
  const newCertificate = (): Certificate =>
    makeCertificate([...cluster.nodes.keys(), 'localhost', HOST], clock.now(), random);
  let certificate = newCertificate();
  const server = await ApiServer.listen(HOST, options.port ?? 0, certificate, (request) =>
    answerRequest({ cluster, authenticator, routes, observer, faults }, request),
  );
  const show = (next: Certificate): void => {
    certificate = next;
    cluster.fingerprint = next.fingerprint;
    server.showCertificate(next);
  };
  cluster.fingerprint = certificate.fingerprint;
  const control = new SimulatorControl(cluster, faults, () => show(newCertificate()));
  const rootToken = control.addToken('root@pam', 'sim', { privsep: false });
  const cancelEvents = scheduleEvents(faults.script, control, clock);
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    cancelEvents();
    cluster.closing.abort(new Error('The simulator was closed.'));
    cluster.storages.locks.close();
    await server.close();
    await cluster.tasks.close();
    await cluster.guests.close();
  };
  return {
    url: `https://${HOST}:${server.port}`,
    get fingerprint() {
      return certificate.fingerprint;
    },
    get certPem() {
      return certificate.certPem;
    },
    rootToken,
    control,
    observer,
    routes: routes.all(),
    close: () => (closing ??= close()),
  };
}
