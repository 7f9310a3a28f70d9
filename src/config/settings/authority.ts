import { parsePath, parseSecret } from '../plain-values.ts';
import type { Setting } from '../setting.ts';

/** The certificate authority that clients trust. */
export const AUTHORITY = {
  caDir: {
    env: 'CA_DIR',
    path: 'ca.directory',
    parse: parsePath,
    default: { folder: '/ca', otherwise: './data/ca' },
    help: "Folder of the proxy's own CA, `ca.crt` and `ca.key`; they are made there where they are missing.",
    takesEffect: 'restart',
    since: '0.1.0',
  },
  caCrtFile: {
    env: 'CA_CRT_FILE',
    path: 'ca.certificate_file',
    parse: parsePath,
    default: undefined,
    help: 'Certificate of the CA, PEM, in place of the one in `CA_DIR`. Needs `CA_KEY_FILE`.',
    takesEffect: 'restart',
    since: '0.1.0',
  },
  caKeyFile: {
    env: 'CA_KEY_FILE',
    path: 'ca.key_file',
    parse: parsePath,
    default: undefined,
    help: 'Private key of the CA, PEM, in place of the one in `CA_DIR`. Needs `CA_CRT_FILE`.',
    takesEffect: 'restart',
    since: '0.1.0',
  },
  caKeyPassphrase: {
    env: 'CA_KEY_PASSPHRASE',
    path: 'ca.key_passphrase',
    parse: parseSecret,
    default: undefined,
    help: "Passphrase of the CA's private key. Keys made by docker-registry-proxy are read without it.",
    secret: true,
    takesEffect: 'restart',
    since: '0.1.0',
  },
  caSrlFile: {
    env: 'CA_SRL_FILE',
    path: 'ca.serial_file',
    parse: parsePath,
    default: undefined,
    help: 'Accepted and without effect: serial numbers are random.',
    takesEffect: 'restart',
    since: '0.1.0',
  },
} as const satisfies Record<string, Setting<unknown>>;
