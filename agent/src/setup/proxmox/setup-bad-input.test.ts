import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { isAppError } from '@dc/shared/errors';
import type { PveSimulatorOptions } from '../../pve-sim/simulator-options.ts';
import { systemClock } from '../../lib/system-clock.ts';
import type { KnownAnswers } from './answers.ts';
import { LocalHost } from './local-host.ts';
import { TestSigner } from './testing/image-server.ts';
import { ProxmoxSetup } from './testing/proxmox-setup.ts';

let signer: TestSigner;
let made: ProxmoxSetup;
beforeAll(() => {
  signer = new TestSigner('A distribution');
});
afterAll(() => signer.dispose());
afterEach(() => made.dispose());

const make = async (options: Partial<PveSimulatorOptions> = {}): Promise<void> => {
  made = await ProxmoxSetup.make(signer, options);
};

/** What the operator reads. The setup token is whole after every failure. */
async function told(flags: KnownAnswers = {}, settings = {}): Promise<string> {
  const failure: unknown = await made
    .run({ flags: made.flags(flags), settings: { ...made.settings, ...settings } })
    .catch((error: unknown) => error);
  expect(made.coordinator.registrations).toEqual([]);
  return isAppError(failure) ? `${failure.code} ${failure.message} ${failure.remedy}` : String(failure);
}

const vmNames = (): (string | undefined)[] =>
  [...made.simulator.control.cluster.vms.values()].map(({ config }) => config.get('name'));

describe('the host', () => {
  it.each(['10.0.1', '7.1-12', '6.4'])('of Proxmox VE %s is none that we know', async (version) => {
    const data = { version, release: version, repoid: 'deadbeef' };
    await make({ faults: { rules: [{ on: 'request', method: 'GET', path: '/version', data }] } });
    expect(await told()).toMatch(/^SETUP_HOST_UNSUITABLE This is Proxmox VE .*knows 7\.4 to 9/);
  });

  it('without a quorum is left as it is', async () => {
    await make({ nodes: 3 });
    made.simulator.control.loseQuorum();
    expect(await told()).toMatch(/^SETUP_HOST_UNSUITABLE The cluster has no quorum.*pvecm status/);
  });

  it('that is none of Proxmox says so', async () => {
    await make();
    const host = new LocalHost({ PATH: made.folder }, systemClock);
    await expect(made.run({}, { host })).rejects.toMatchObject({
      code: 'SETUP_HOST_UNSUITABLE',
      remedy: expect.stringContaining('--host root@HOST') as string,
    });
  });

  it('whose API shows another certificate than the host has stops everything', async () => {
    await make();
    const other = await ProxmoxSetup.make(signer);
    try {
      expect(await told({}, { apiUrl: other.simulator.url })).toMatch(/^PROVISIONER_CERTIFICATE_CHANGED/);
    } finally {
      await other.dispose();
    }
  });

  it('that forgets a grant is found out before the token is spent', async () => {
    await make();
    const { access } = made.simulator.control.cluster;
    const grant = access.grant.bind(access);
    access.grant = (entries) => grant(entries.map((entry) => ({ ...entry, propagate: entry.path !== '/' })));
    expect(await told()).toMatch(/Sys\.Audit.*pveum/);
  });

  it('whose API is nowhere to be reached names the flag', async () => {
    await make();
    expect(await told({}, { apiUrl: 'https://127.0.0.1:9' })).toMatch(/^SETUP_HOST_UNSUITABLE.*--api-url/);
  });
});

describe('an answer', () => {
  it.each([
    ['storage', { storage: 'nowhere' }, /--storage nowhere: there is no storage .*; there is local/],
    ['storage without room', { storage: 'small' }, /less than 20 GiB/],
    ['bridge', { bridge: 'vmbr9' }, /--bridge vmbr9: .*there is vmbr0/],
    ['node', { nodes: 'pve1,pve7' }, /--nodes pve1,pve7: there is no node that is online pve7/],
    ['operating system', { systems: 'windows' }, /--systems windows/],
    ['range of VMIDs', { vmids: '100' }, /--vmids 100: write two VMIDs/],
    [
      'gateway, inside of the range,',
      { addresses: '192.0.2.1-192.0.2.9/24,192.0.2.5' },
      /--addresses .*gateway/,
    ],
    ['range of addresses', { addresses: '192.0.2.1' }, /--addresses 192\.0\.2\.1: write dhcp/],
    ['address', { coordinator: 'somewhere' }, /--coordinator somewhere: write an address/],
  ])('with a wrong %s is refused before anything is changed', async (_what, flags, expected) => {
    const small = { storage: 'small', type: 'lvmthin', totalBytes: 10 * 1024 ** 3 } as const;
    await make({
      storages: [{ storage: 'local', type: 'dir' }, { storage: 'local-lvm', type: 'lvmthin' }, small],
    });
    expect(await told(flags)).toMatch(expected);
    expect(made.host.commands.filter((line) => /pvesh (create|set|delete)/.test(line))).toEqual([]);
  });

  it('that names a storage without ISO images for the images is refused, with those that take them', async () => {
    await make();
    const remedy = /--image-storage local-lvm takes no ISO images on pve1\. Choose one of: local/;
    expect(await told({}, { imageStorage: 'local-lvm' })).toMatch(remedy);
    expect(await told({}, { pool: 'dc-agent-templates' })).toMatch(/--pool dc-agent-templates/);
    expect(made.host.commands.filter((line) => /pvesh (create|set|delete)/.test(line))).toEqual([]);
  });

  it('that is no setup token is refused before anything is changed', async () => {
    await make();
    const failure: unknown = await made
      .run({}, { readToken: () => Promise.resolve('dcs_nonsense') })
      .catch((error: unknown) => error);
    expect(isAppError(failure, 'SETUP_TOKEN_INVALID')).toBe(true);
    expect(made.simulator.control.cluster.pools.size).toBe(0);
  });
});

describe('an image', () => {
  it('that is not what its checksum says makes no template', async () => {
    await make();
    made.images.files.set('debian-12.img', 'something else');
    expect(await told()).toMatch(/^SETUP_IMAGE_UNVERIFIED .*is not what its checksum says/);
    expect(vmNames()).toEqual([]);
  });

  it('whose checksums somebody else has signed is not even fetched', async () => {
    await make();
    const stranger = new TestSigner('A stranger');
    made.images.sign(stranger);
    stranger.dispose();
    expect(await told()).toMatch(/^SETUP_IMAGE_UNVERIFIED .*not signed by/);
    expect(made.images.asked).not.toContain('debian-12.img');
  });

  it('whose checksums were changed after they were signed is not even fetched', async () => {
    await make();
    const sums = String(made.images.files.get('SHA256SUMS'));
    made.images.files.set(
      'SHA256SUMS',
      sums.replace(/^./, (digit) => (digit === '0' ? '1' : '0')),
    );
    expect(await told()).toMatch(/^SETUP_IMAGE_UNVERIFIED/);
    expect(made.images.asked).not.toContain('debian-12.img');
  });

  it('without its signature is not fetched either', async () => {
    await make();
    made.images.files.delete('SHA256SUMS.gpg');
    expect(await told()).toMatch(/SHA256SUMS\.gpg cannot be fetched: HTTP 404/);
  });

  it('whose guest has no working agent makes no template', async () => {
    await make({ behaviourOf: () => ({ agent: 'blocked' }) });
    // A clock on which the twenty minutes for a first boot are over in a second.
    const clock = { ...systemClock, monotonic: () => systemClock.monotonic() * 2_000 };
    const failure: unknown = await made.run({}, { clock }).catch((error: unknown) => error);
    expect(String(failure)).toMatch(/No guest agent came up in VM 9000/);
    expect(made.simulator.control.cluster.vms.get(9_000)?.isTemplate).toBe(false);
  });
});

describe('what was there before', () => {
  it('keeps its VMID: templates take the next one', async () => {
    await make();
    const foreign = await made.simulator.control.addVm({ vmid: 9_000, name: 'accounting' });
    const before = JSON.stringify([...foreign.config]);
    await made.run();
    expect(JSON.stringify([...foreign.config])).toBe(before);
    expect(vmNames()).toEqual(['accounting', 'dc-debian-12']);
  });

  it.each([true, false])(
    'and has the name of a template (itself one: %s) is left alone',
    async (template) => {
      await make();
      const foreign = await made.simulator.control.addVm({ vmid: 300, name: 'dc-debian-12', template });
      const before = JSON.stringify([...foreign.config]);
      expect(await told()).toMatch(/^SETUP_NAME_TAKEN VM 300 on pve1.*--template-prefix/);
      expect([JSON.stringify([...foreign.config]), vmNames()]).toEqual([before, ['dc-debian-12']]);
    },
  );

  it('as a template of ours on another storage is named', async () => {
    await make();
    await made.run();
    made.simulator.control.cluster.vms
      .get(9_000)!
      .config.set('scsi0', 'local:9000/base-9000-disk-0.raw,size=2G');
    await expect(made.run()).rejects.toThrow('is on the storage local, not on local-lvm');
  });

  it('with a VMID of the agent’s own range is named', async () => {
    await make();
    await made.simulator.control.addVm({ vmid: 20_005, name: 'mail' });
    expect(await told()).toMatch(/^SETUP_NAME_TAKEN .*20005 \(mail\).*--vmids/);
  });

  it('as a pool, a user or a token of our name is not touched', async () => {
    await make();
    const { access, pools } = made.simulator.control.cluster;
    pools.set('dc-agent', { comment: 'the accountants', storages: new Set() });
    expect(await told()).toMatch(/^SETUP_NAME_TAKEN There is a pool dc-agent.*--pool/);
    pools.delete('dc-agent');
    const user = access.addUser('dc-agent@pve');
    expect(await told()).toMatch(/^SETUP_NAME_TAKEN There is a user dc-agent@pve/);
    user.comment = 'made by dc-agent setup';
    made.simulator.control.addToken('dc-agent@pve', 'dc-agent');
    const { secret } = user.tokens.get('dc-agent')!;
    expect(await told()).toMatch(/^SETUP_NAME_TAKEN There is a token/);
    expect(user.tokens.get('dc-agent')?.secret).toBe(secret);
  });

  it('as a role that somebody else has is not changed', async () => {
    await make();
    const { access } = made.simulator.control.cluster;
    access.addUser('bob@pve');
    access.roles.set('DcAgentPool', new Set(['VM.Audit']));
    access.grant([{ path: '/', type: 'user', ugid: 'bob@pve', roleid: 'DcAgentPool', propagate: true }]);
    expect(await told()).toMatch(/^SETUP_NAME_TAKEN There is a role DcAgentPool that bob@pve has/);
    expect(access.roles.get('DcAgentPool')).toEqual(new Set(['VM.Audit']));
  });

  it('as a configuration of another agent is kept, word for word', async () => {
    await make();
    await made.run();
    const before = readFileSync(made.output, 'utf8');
    await made.run({}, { readToken: () => Promise.resolve(made.coordinator.grant()) });
    expect(readFileSync(made.output, 'utf8')).toBe(before);
  });
});
