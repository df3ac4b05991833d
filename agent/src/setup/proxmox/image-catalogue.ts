/**
 * The distributions' own cloud images: where they are, and who vouches for them. Data.
 *
 * Canonical signs its checksums; the key below is "UEC Image Automatic Signing Key <cdimage@ubuntu.com>" with the
 * fingerprint that https://documentation.ubuntu.com/public-images/public-images-how-to/verify-image-checksum/ names.
 * Debian and Rocky Linux publish checksums for their cloud images, but no signature: Debian's own answer to "How can I
 * verify my download" (https://cloud.debian.org/images/cloud/) is TLS to that very host. So their checksums are taken
 * over TLS only, and who chooses is told so.
 */
import { Type } from 'typebox';
import Value from 'typebox/value';
import { AppError } from '@dc/shared/errors';

/** Whose OpenPGP signature counts. */
export interface SigningKey {
  /** Of the primary key, 40 hex digits. */
  readonly fingerprint: string;
  /** The key itself as a keyring, base64. */
  readonly keyring: string;
}

/** An image of one operating system. */
export interface CloudImage {
  /** What orders call it. */
  readonly system: string;
  readonly title: string;
  /** The folder of the image and its checksums. */
  readonly folder: string;
  readonly file: string;
  readonly checksums: { readonly file: string; readonly algorithm: 'sha256' | 'sha512' };
  /** The signature of the checksums; null where the distribution publishes none. */
  readonly signature: { readonly file: string; readonly key: SigningKey } | null;
  /** For the one who chooses. */
  readonly vouchedBy: string;
  /** What cloud-init runs as root beside installing the guest agent. */
  readonly commands: readonly string[];
}

const UBUNTU_KEY: SigningKey = {
  fingerprint: 'D2EB44626FDDC30B513D5BB71A5D6C4C7DB87C81',
  keyring: [
    'mQINBEqwKTUBEAC8V01JGfeYVVlwlcr0dmwF8n+We/lbxwArjR/gZlH7/MJEZnALQHUrDTpD3SkfbsjQgeNt8eS3Jyzoc2r3t2no',
    's4rXPH4kIzAvtqslz6Ns4ZYjoHVkVC2oV8vYbxER+3/lDjTWVII7omtDVvqH33QlqYZ8+bQbs21lZb2ROJIQCiH0YzaqYR0I2SEy',
    'kBL873V0ygdyW/mCMwniXTLUyGAUV4/28NOzw/6LGvJElJe4UqwQxl/aXtPIJjPka8LA8+nDi5/u6WEgDWgBhLEHvQG1BNdttm3W',
    'Cjbu4zS3mNfNBidTamZfOaMJUZVYxhOB5kNQqyR4eYqFK/U+305eLrZ05ocadsmcQWkHQVbgt+g4yyFNl56N5AirkFjVtfArkUJf',
    'INGgJ7gkSeyqTJK24f33vsIpPwRQ5eFn7H4PwGc0Piym73YLJnlR94LNEG0ceOJ7u1r+WuaesIj+lKIZsG/rRLf7besaMCCtPcim',
    'VgEAmBoIdpTpdP3aa54w/dvfSwW47mGY14G5PBk/0MDy2Y5HOeXat3RXpGZZFh7zbwSQ93RhYH3bNPNd5lMu3ZRkYX19FWxoLCi5',
    'lx4K3flYhiolZ5i4KxJCoGRobsKjm74Xv2QlvCXYyAk5BnAQCsu5hKZ1sOhQADCcKz1Zbg8JRc3vmelaJ/VFvHTzs4hJTUvOowAR',
    'AQABtDRVRUMgSW1hZ2UgQXV0b21hdGljIFNpZ25pbmcgS2V5IDxjZGltYWdlQHVidW50dS5jb20+iQJRBBMBCgA7AhsDAheAFiEE',
    '0utEYm/dwwtRPVu3Gl1sTH24fIEFAmiv5esFCwkIBwICIgIGFQoJCAsCBBYCAwECHgcACgkQGl1sTH24fIFdOhAAt/AooKkrzvBb',
    'VdOSkQTsK/JdMP5HeO9vyY1H8xfgpMt4Co82tFjOzwyMbCYQM8cMg90MyRuU+y4Ql0Jebahem+f4/0eNVRks1tneMnMSQftNc4RW',
    '3SyPN/j26R/SwbQyNTkC+hrfjESUTL9H+z7fRuF1VFcyyZBv4dLOO8iFwEKydcuUk4z7Vih1ooSnC0LR5kimMkjri1TDxUKm19YT',
    'W39tqdlbTnwv4LC4Yd7G0KRHwxODGoHmmsGbGGSu4zHYzkkPCeOHqhoyHysbv461dL/mDZv/KfRoPNPoujZfvMGhlCQWAhdg1nNm',
    'lMp+ufwpK8wtVJVViVzww6gMXElvNevMSi7anpaEM7nmAslZxeFd7tw/zS0KIfk94RbVdcNhFJKxanTP6iCmepP6U52epiM8fnqo',
    'iu0EWa4CNlJcNd821/cw3XiHwtTjUMX+WQ8lAwgC4eLtHTooNBtgEkFcURKS+tNMeTbKRU49zhibL4ShScB20JHr8XDDRLeiprmx',
    '4HA8fikTuTzajI+GwhkzTOkEVoYtbdyUmT1rr9TK3Uh7MSuLgNOR8XwaNjMtLnmqqP61WzIRYDWNMuQKG1DoEZCZ7dMZiv7gwvuy',
    'TOk72554C2T3mgY8tD1SqUIpOQN/IfItTK5t2ZXZSzz8r4zAuI3aoe7+KUuC0A9mYqFlkZI=',
  ].join(''),
};

const debian = (number: string, name: string): CloudImage => ({
  system: `debian-${number}`,
  title: `Debian ${number} (${name})`,
  folder: `https://cloud.debian.org/images/cloud/${name}/latest`,
  file: `debian-${number}-genericcloud-amd64.qcow2`,
  checksums: { file: 'SHA512SUMS', algorithm: 'sha512' },
  signature: null,
  vouchedBy: 'checksum over TLS from cloud.debian.org',
  commands: [],
});

const ubuntu = (number: string, name: string): CloudImage => ({
  system: `ubuntu-${number}`,
  title: `Ubuntu ${number}`,
  folder: `https://cloud-images.ubuntu.com/${name}/current`,
  file: `${name}-server-cloudimg-amd64.img`,
  checksums: { file: 'SHA256SUMS', algorithm: 'sha256' },
  signature: { file: 'SHA256SUMS.gpg', key: UBUNTU_KEY },
  vouchedBy: 'checksum signed by Canonical',
  commands: [],
});

const ROCKY_9: CloudImage = {
  system: 'rocky-9',
  title: 'Rocky Linux 9',
  folder: 'https://download.rockylinux.org/pub/rocky/9/images/x86_64',
  file: 'Rocky-9-GenericCloud-Base.latest.x86_64.qcow2',
  checksums: { file: 'Rocky-9-GenericCloud-Base.latest.x86_64.qcow2.CHECKSUM', algorithm: 'sha256' },
  signature: null,
  vouchedBy: 'checksum over TLS from download.rockylinux.org',
  commands: [
    // The agent may do next to nothing there: its calls are filtered, and SELinux confines it. The host rules over the
    // guest anyway; the rest of the guest stays confined.
    "sed -i -E 's/^(FILTER_RPC_ARGS|BLACKLIST_RPC|BLOCK_RPCS)=/#&/' /etc/sysconfig/qemu-ga",
    'dnf -y install policycoreutils-python-utils',
    'semanage permissive -a virt_qemu_ga_t',
    'systemctl restart qemu-guest-agent',
  ],
};

/** All that set-up knows by itself. */
export const IMAGES: readonly CloudImage[] = [
  debian('12', 'bookworm'),
  debian('13', 'trixie'),
  ubuntu('22.04', 'jammy'),
  ubuntu('24.04', 'noble'),
  ROCKY_9,
];

const CatalogueSchema = Type.Array(
  Type.Object(
    {
      system: Type.String({ pattern: '^[a-z0-9][a-z0-9.-]{0,40}$' }),
      title: Type.String({ minLength: 1 }),
      folder: Type.String({ pattern: '^https?://[^\\s]+[^/\\s]$' }),
      file: Type.String({ pattern: '^[\\w.-]+$' }),
      checksums: Type.Object({
        file: Type.String({ pattern: '^[\\w.-]+$' }),
        algorithm: Type.Union([Type.Literal('sha256'), Type.Literal('sha512')]),
      }),
      signature: Type.Union([
        Type.Null(),
        Type.Object({
          file: Type.String({ pattern: '^[\\w.-]+$' }),
          key: Type.Object({
            fingerprint: Type.String({ pattern: '^[0-9A-F]{40}$' }),
            keyring: Type.String({ pattern: '^[A-Za-z0-9+/]+=*$' }),
          }),
        }),
      ]),
      vouchedBy: Type.String({ minLength: 1 }),
      commands: Type.Array(Type.String()),
    },
    { additionalProperties: false },
  ),
  { minItems: 1 },
);

/** A catalogue of the operator's own, from JSON in the form of `IMAGES`. COMMAND_USAGE where it is none. */
export function parseCatalogue(text: string, file: string): readonly CloudImage[] {
  let images: unknown;
  try {
    images = JSON.parse(text);
  } catch (error) {
    throw new AppError('COMMAND_USAGE', `${file} is no JSON.`, { cause: error });
  }
  if (!Value.Check(CatalogueSchema, images)) {
    const [first] = Value.Errors(CatalogueSchema, images);
    throw new AppError(
      'COMMAND_USAGE',
      `${file}${first?.instancePath ?? ''} ${first?.message ?? 'is no catalogue'}.`,
    );
  }
  const open = images.find(({ folder, signature }) => signature === null && !folder.startsWith('https://'));
  if (open === undefined) return images;
  throw new AppError('COMMAND_USAGE', `${file}: ${open.system} has no signature and comes without TLS.`, {
    remedy: 'Sign its checksums, or serve them over https.',
  });
}
