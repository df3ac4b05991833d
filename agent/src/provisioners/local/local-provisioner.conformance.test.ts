import { readFile, writeFile } from 'node:fs/promises';
import { sshLoginProbe } from '../../guest-access/ssh-login-probe.ts';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import type { InstanceRecord } from './instance-store.ts';
import { describeProvisioner } from '../testing/provisioner-conformance.ts';
import { accessOf, isPortOpen, LocalFixture } from './testing/local-fixture.ts';

const probe = sshLoginProbe({ clock: systemClock, random: systemRandom });

describeProvisioner('the local driver', {
  make: async (sealSecret) => {
    const fixture = await LocalFixture.make(sealSecret);
    return {
      spec: (await fixture.request()).spec,
      open: () => fixture.open(),
      replaceSeal: async ({ id }, seal) => {
        const record = JSON.parse(await readFile(fixture.recordFile(id), 'utf8')) as InstanceRecord;
        await writeFile(fixture.recordFile(id), JSON.stringify({ ...record, seal }));
      },
      snapshot: ({ id }) => readFile(fixture.recordFile(id), 'utf8'),
      objectIds: () => fixture.folders(),
      isReachable: (instance) => isPortOpen(accessOf(instance)),
      tryPassword: async (instance, { user, password }) => {
        const access = { ...accessOf(instance), user };
        return (await probe.tryPassword(access, password, fixture.signal)) === 'accepted';
      },
      tryPublicKey: async (instance, sshPublicKey) =>
        (await probe.tryPublicKey(accessOf(instance), sshPublicKey, fixture.signal)) === 'accepted',
      dispose: () => fixture.dispose(),
    };
  },
  skips: { lostReply: 'the driver works in this process, where no answer travels' },
});
