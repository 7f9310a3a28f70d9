import { parseAdminListen } from '../admin-listen.ts';
import { parseAddressSet, readAddressSet } from '../address-set.ts';
import { parseListenAddress, parseListenPlaces, readListenPlaces } from '../listen-address.ts';
import { parseTimeout } from '../nginx-time.ts';
import { parseCount, parsePath } from '../plain-values.ts';
import type { Setting } from '../setting.ts';

/** Where the proxy listens and how long it takes to leave. */
export const LISTENING = {
  listen: {
    env: 'LISTEN',
    path: 'listen.address',
    parse: parseListenPlaces,
    parseStructure: readListenPlaces,
    default: '0.0.0.0:3128',
    help: 'Addresses of the proxy, divided by spaces: `host:port`, `[::]:3128` (IPv6, and IPv4 too where the system has it so), a port alone for every IPv4 address, `unix:/path` for a socket in the file system. Clients of such a socket have no address.',
    takesEffect: 'restart',
    since: '0.1.0',
  },
  listenTls: {
    env: 'LISTEN_TLS',
    path: 'listen.tls.address',
    parse: parseListenAddress,
    default: undefined,
    help: 'A second address, where clients speak TLS with the proxy itself (`HTTPS_PROXY=https://proxy:3129`). Needs `LISTEN_TLS_CERT_FILE` and `LISTEN_TLS_KEY_FILE`.',
    takesEffect: 'restart',
    since: '0.1.0',
  },
  listenTlsCertFile: {
    env: 'LISTEN_TLS_CERT_FILE',
    path: 'listen.tls.certificate_file',
    parse: parsePath,
    default: undefined,
    help: "Certificate of `LISTEN_TLS` for the proxy's own name, PEM, with its chain. Read again when it changes.",
    takesEffect: 'restart',
    since: '0.1.0',
  },
  listenTlsKeyFile: {
    env: 'LISTEN_TLS_KEY_FILE',
    path: 'listen.tls.key_file',
    parse: parsePath,
    default: undefined,
    help: 'Its private key, PEM. Read again when it changes.',
    takesEffect: 'restart',
    since: '0.1.0',
  },
  listenTlsClientCaFile: {
    env: 'LISTEN_TLS_CLIENT_CA_FILE',
    path: 'listen.tls.client_ca_file',
    parse: parsePath,
    default: undefined,
    help: 'PEM file of the CAs whose client certificates are a login at `LISTEN_TLS`; the common name is the name of the user. Read again when it changes.',
    takesEffect: 'restart',
    since: '0.1.0',
  },
  adminListen: {
    env: 'ADMIN_LISTEN',
    path: 'listen.admin',
    parse: parseAdminListen,
    default: '127.0.0.1:8080 if free',
    help: 'Address of the admin listener, with [metrics and health](../how-to/monitor.md); `off` for none. With `if free` behind it the proxy does without where another program has the address; otherwise that ends the start.',
    takesEffect: 'restart',
    since: '0.1.0',
  },
  proxyProtocolFrom: {
    env: 'PROXY_PROTOCOL_FROM',
    path: 'listen.proxy_protocol_from',
    parse: parseAddressSet,
    parseStructure: readAddressSet,
    default: '',
    help: "Addresses and networks of load balancers that begin each connection with the PROXY protocol (version 1 or 2); the client's address is then taken from it. From nobody else is it accepted.",
    takesEffect: 'restart',
    since: '0.1.0',
  },
  maxConnections: {
    env: 'MAX_CONNECTIONS',
    path: 'listen.max_connections',
    parse: parseCount,
    default: '10000',
    help: 'Client connections that may be open at once; more are answered 503, or cut at `LISTEN_TLS`. Each takes a descriptor, a tunnel two. `0` is any number.',
    takesEffect: 'restart',
    since: '0.1.0',
  },
  maxConnectionsPerClient: {
    env: 'MAX_CONNECTIONS_PER_CLIENT',
    path: 'listen.max_connections_per_client',
    parse: parseCount,
    default: '2000',
    help: 'The same for one client address; all clients behind one NAT, or a balancer that is not in `PROXY_PROTOCOL_FROM`, have one together. `0` is any number.',
    takesEffect: 'restart',
    since: '0.1.0',
  },
  shutdownTimeout: {
    env: 'SHUTDOWN_TIMEOUT',
    path: 'listen.shutdown_timeout',
    parse: parseTimeout,
    default: '30s',
    help: 'How long requests under way may still take after SIGTERM before they are cut.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
} as const satisfies Record<string, Setting<unknown>>;
