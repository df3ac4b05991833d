import { describeProvisioner } from '../testing/provisioner-conformance.ts';
import { ProxmoxFixture } from './testing/proxmox-fixture.ts';

for (const version of ['7.4', '8.4', '9.1'])
  describeProvisioner(`the Proxmox driver on ${version}`, {
    make: async (sealSecret) => (await ProxmoxFixture.make({ sealSecret, version })).subject(),
    skips: {
      lostReply: 'the suite aborts before the first of several calls is sent; lost answers are field case 4',
    },
  });
