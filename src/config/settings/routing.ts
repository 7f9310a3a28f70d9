import { parseConnectionRules, readConnectionRules } from '../connection-rule.ts';
import { parseNoProxy, readNoProxy } from '../no-proxy.ts';
import { parseBoolean, parsePath } from '../plain-values.ts';
import { parseProxyAddress } from '../proxy-address.ts';
import type { Setting } from '../setting.ts';

/** The way to the registries: proxies between, and whom their certificates must be from. */
export const ROUTING = {
  httpsProxy: {
    env: 'HTTPS_PROXY',
    aliases: ['https_proxy'],
    path: 'upstream.https_proxy',
    parse: parseProxyAddress,
    default: '',
    help: 'Proxy on the way to registries that speak TLS, and for tunnels: `http://`, `https://` or `socks5://`, with `user:password@` before the host where it wants a login. See [behind a corporate proxy](../how-to/corporate-proxy.md).',
    secret: true,
    takesEffect: 'reload',
    since: '0.1.0',
  },
  httpProxy: {
    env: 'HTTP_PROXY',
    aliases: ['http_proxy'],
    path: 'upstream.http_proxy',
    parse: parseProxyAddress,
    default: '',
    help: 'The same on the way to registries that speak plain HTTP.',
    secret: true,
    takesEffect: 'reload',
    since: '0.1.0',
  },
  noProxy: {
    env: 'NO_PROXY',
    aliases: ['no_proxy'],
    path: 'upstream.no_proxy',
    parse: parseNoProxy,
    parseStructure: readNoProxy,
    default: '',
    help: 'Hosts that are reached without a proxy, divided by commas: a name (with all below it), `.suffix`, `*.suffix`, an address, a network, each with `:port` or for all ports; `*` is all hosts. Networks are compared with hosts that are written as addresses; no name is looked up for it. Loopback never goes through a proxy.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  connections: {
    env: 'CONNECTION_RULES',
    path: 'upstream.connections',
    parse: parseConnectionRules,
    parseStructure: readConnectionRules,
    default: '[]',
    help: 'How single hosts (registries, their token services, where they redirect to) are reached, the first rule that matches decides; a JSON list in the environment. A rule matches by `host` (a glob or `/regex/`, with `:port` unless that is 443) and sets `proxy` (an address, or `none`), `ca_file`, `client_certificate_file` and `client_key_file`, `verify`, `min_tls` (`1.2` or `1.3`), `server_name`; see [a registry with a private CA](../how-to/registry-with-private-ca.md).',
    secret: true,
    takesEffect: 'reload',
    since: '0.1.0',
  },
  verifySsl: {
    env: 'VERIFY_SSL',
    path: 'upstream.verify_tls',
    parse: parseBoolean,
    default: 'true',
    help: 'Whether certificates of registries are verified. `EXTRA_CA_FILE` is the safer way to a private CA.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  extraCaFile: {
    env: 'EXTRA_CA_FILE',
    path: 'upstream.extra_ca_file',
    parse: parsePath,
    default: undefined,
    help: 'PEM file of certificates that upstream registries may be signed by, beside those of the system. Read again when it changes.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  extraCaDir: {
    env: 'EXTRA_CA_DIR',
    path: 'upstream.extra_ca_dir',
    parse: parsePath,
    default: undefined,
    help: 'Folder of such files; those that end in `.pem`, `.crt` or `.cer` are read, and read again when they change.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  disableIpv6: {
    env: 'DISABLE_IPV6',
    path: 'upstream.disable_ipv6',
    parse: parseBoolean,
    default: 'false',
    help: 'Whether IPv6 addresses of registries are left unused.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
} as const satisfies Record<string, Setting<unknown>>;
