import { describeProvisioner } from '../testing/provisioner-conformance.ts';
import { ProxmoxFixture } from './testing/proxmox-fixture.ts';

describeProvisioner('the Proxmox driver', {
  make: async (sealSecret) => (await ProxmoxFixture.make({ sealSecret })).subject(),
  skips: {
    lostReply: 'the suite aborts before the first of several calls is sent; lost answers are field case 4',
  },
});
