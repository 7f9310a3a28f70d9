import { parseAccessRules, readAccessRules } from '../access-rule.ts';
import { parseAddressSet, readAddressSet } from '../address-set.ts';
import { parsePath } from '../plain-values.ts';
import type { Setting } from '../setting.ts';
import { parseTargets, readTargets } from '../target-list.ts';

/** Who may use the proxy, and where it may lead. */
export const ACCESS = {
  allowClients: {
    env: 'ALLOW_CLIENTS',
    path: 'access.allow_clients',
    parse: parseAddressSet,
    parseStructure: readAddressSet,
    default: '',
    help: 'Addresses and networks of the clients that may use the proxy, divided by spaces, e.g. `10.0.0.0/8 fd00::/8`; all may where it is blank. See [Restrict access](../how-to/restrict-access.md).',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  denyClients: {
    env: 'DENY_CLIENTS',
    path: 'access.deny_clients',
    parse: parseAddressSet,
    parseStructure: readAddressSet,
    default: '',
    help: 'Addresses and networks of clients that may not use the proxy; it wins over `ALLOW_CLIENTS`.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  proxyUsersFile: {
    env: 'PROXY_USERS_FILE',
    path: 'access.users_file',
    parse: parsePath,
    default: undefined,
    help: 'An htpasswd file (bcrypt, `apr1` or `{SHA}`); clients then log in with user and password, e.g. `HTTPS_PROXY=http://user:password@proxy:3128`. Read again when it changes.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  accessRules: {
    env: 'ACCESS_RULES',
    path: 'access.rules',
    parse: parseAccessRules,
    parseStructure: readAccessRules,
    default: '[]',
    help: 'Rules for who may do what, the first that matches decides, and what none matches is refused; a JSON list in the environment. A rule matches by `clients`, `users`, `registry`, `repository` and `action` (`pull` or `push`), and its `access` is `allow` or `deny`; see [Restrict access](../how-to/restrict-access.md).',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  tunnelAllow: {
    env: 'TUNNEL_ALLOW',
    path: 'access.tunnels.allow',
    parse: parseTargets,
    parseStructure: readTargets,
    default: '*:80 *:443 *:1024-65535',
    help: 'Hosts that are no registries and yet may be reached through the proxy, by CONNECT or plain HTTP: `host`, `*.suffix`, `.suffix`, an address or a network, each with `:port`, `:low-high` or, for every port, neither. `*` is every host.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  tunnelDeny: {
    env: 'TUNNEL_DENY',
    path: 'access.tunnels.deny',
    parse: parseTargets,
    parseStructure: readTargets,
    default: '',
    help: 'Hosts that may not be reached so, written alike; it wins over `TUNNEL_ALLOW`, and its addresses hold for the redirects and token services of registries too.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  allowLocalAddresses: {
    env: 'ALLOW_LOCAL_ADDRESSES',
    path: 'access.local_addresses',
    parse: parseAddressSet,
    parseStructure: readAddressSet,
    default: '',
    help: 'Addresses that tunnels, redirects and token services may lead to although they are loopback, link-local, multicast or those of cloud metadata, which are refused otherwise. A host that `REGISTRIES` lists by its whole name needs none.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
} as const satisfies Record<string, Setting<unknown>>;
