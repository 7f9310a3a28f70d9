import { BreakwaterError } from '../../registry/errors.ts';

interface Kind {
  readonly codes: RegExp;
  /** Follows the host. */
  readonly reason: string;
  readonly mend: string;
}

/** What OpenSSL (X509_V_ERR_*, ERR_SSL_*) and Node (ERR_TLS_*) say, as people would; the first that fits is told. */
const KINDS: readonly Kind[] = [
  {
    codes: /^CERT_HAS_EXPIRED$/,
    reason: 'its certificate, or one of the chain, has expired',
    mend: "Have the registry's certificate renewed; until then verify: false in CONNECTION_RULES trusts it unseen.",
  },
  {
    codes: /^CERT_NOT_YET_VALID$/,
    reason: 'its certificate is not valid yet',
    mend: 'Set the clock of this machine, or that of the registry.',
  },
  {
    codes: /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_CA|CERT_UNTRUSTED|CERT_CHAIN_TOO_LONG)/,
    reason: 'its certificate is signed by an authority that is not known here',
    mend: 'Put the certificate of that authority (the private CA, or the one of a proxy that inspects TLS) into EXTRA_CA_FILE or EXTRA_CA_DIR, or name it as ca_file in CONNECTION_RULES; check that the registry sends its whole chain.',
  },
  {
    codes: /^(ERR_TLS_CERT_ALTNAME_|HOSTNAME_MISMATCH)/,
    reason: 'its certificate is for another name',
    mend: 'Use a name that is in the certificate, or write one as server_name in CONNECTION_RULES.',
  },
  {
    codes: /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|UNEXPECTED_MESSAGE)$/,
    reason: 'it does not speak TLS on this port',
    mend: 'If the registry speaks plain HTTP there, list it as http://host:port in REGISTRIES.',
  },
  {
    codes: /^ERR_SSL_.*(UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION|VERSION_TOO_LOW)/,
    reason: 'it speaks no version of TLS that is allowed',
    mend: 'Have it speak TLS 1.2 or 1.3; min_tls in CONNECTION_RULES may ask for too much.',
  },
  {
    codes:
      /^ERR_SSL_.*(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_UNKNOWN|CERTIFICATE_EXPIRED)/,
    reason: 'it wants a client certificate, or does not accept the one it was shown',
    mend: 'Name client_certificate_file and client_key_file for the host in CONNECTION_RULES.',
  },
  {
    codes: /^(ERR_SSL_|EPROTO$)/,
    reason: 'it refused the handshake',
    mend: 'It may want a client certificate (client_certificate_file in CONNECTION_RULES), or another server_name.',
  },
  {
    codes:
      /^(ERR_TLS|CERT_|CRL_|INVALID_PURPOSE|OCSP_|PATH_LENGTH_EXCEEDED|EXCLUDED_VIOLATION|PERMITTED_VIOLATION)/,
    reason: 'its certificate was not accepted',
    mend: 'See the reason, and CONNECTION_RULES for what can be set for one host.',
  },
];

/** Names what failed in TLS with `host`; undefined for what is no failure of TLS. */
export function tlsFailure(thrown: unknown, host: string): BreakwaterError | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown) || typeof thrown.code !== 'string') return undefined;
  const { code, message } = thrown;
  const kind = KINDS.find(({ codes }) => codes.test(code));
  if (kind === undefined) return undefined;
  // OpenSSL's own texts hold lines and numbers of its source
  const said =
    code.startsWith('ERR_SSL_') || code === 'EPROTO' ? code : message.replaceAll(/\s+/g, ' ').trim();
  return new BreakwaterError('UPSTREAM_TLS', `${host}: ${kind.reason} (${said})`, {
    cause: thrown,
    mend: kind.mend,
  });
}
