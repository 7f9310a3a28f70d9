import { describe, expect, test } from 'vitest';
import { parseGlob } from '../config/glob.ts';
import { Secret } from '../config/secret.ts';
import { registryHost } from '../registry/registry-host.ts';
import { fetchedSource, fixedSource, type CredentialSource } from './credential-source.ts';
import { createCredentials, type Credentials } from './credentials.ts';

const source = (host: string, username: string, repository?: string): CredentialSource =>
  fixedSource(host, repository === undefined ? undefined : parseGlob(repository), {
    kind: 'password',
    username,
    secret: new Secret('s'),
  });

const LISTED = new Set(['listed.example', 'registry.shop.example']);
function of(...sources: CredentialSource[]): Credentials {
  const credentials = createCredentials((host) => LISTED.has(host), Date.now);
  credentials.replace(sources);
  return credentials;
}
const userFor = async (held: Credentials, host: string, repository?: string): Promise<string | undefined> =>
  (await held.loginFor(host, repository))?.username;

describe('credentials for a host', () => {
  test('are for exactly this host and port', async () => {
    const held = of(source('a.example', 'a'), source('a.example:5000', 'b'));
    expect(await userFor(held, 'a.example')).toBe('a');
    expect(await userFor(held, 'a.example:5000')).toBe('b');
    expect(await userFor(held, 'x.a.example')).toBeUndefined();
  });

  test('without a port are for port 443, and for port 80 where that one alone is listed', async () => {
    const lists = new Set(['plain.example:80', 'both.example:80', 'both.example:443']);
    const held = createCredentials((host, port) => lists.has(`${host}:${port}`), Date.now);
    held.replace(['plain.example', 'both.example', 'other.example'].map((host) => source(host, host)));
    expect(await userFor(held, 'plain.example:80')).toBe('plain.example');
    expect(await userFor(held, 'both.example')).toBe('both.example');
    expect(await userFor(held, 'both.example:80')).toBeUndefined();
    expect(await userFor(held, 'other.example:80')).toBeUndefined();
  });

  test('for some repositories go before those for all, and the first of them before the second', async () => {
    const held = of(
      source('a.example', 'all'),
      source('a.example', 'one', 'team/*'),
      source('a.example', 'two', '*'),
    );
    expect(await userFor(held, 'a.example', 'team/x')).toBe('one');
    expect(await userFor(held, 'a.example', 'other')).toBe('two');
    expect(await userFor(held, 'a.example')).toBe('all');
    // a ping may show any of them
    expect(await userFor(of(source('a.example', 'one', 'team/*')), 'a.example')).toBe('one');
    expect(await userFor(of(source('a.example', 'one', 'team/*')), 'a.example', 'other')).toBeUndefined();
  });

  test('an exact host goes before a pattern, and that before the store for every host', async () => {
    const held = of(source('*', 'store'), source('*.pkg.dev', 'pattern'), source('eu.pkg.dev', 'exact'));
    expect(await userFor(held, 'eu.pkg.dev')).toBe('exact');
    expect(await userFor(held, 'us.pkg.dev')).toBe('pattern');
    expect(await userFor(held, 'a.us.pkg.dev')).toBe('store');
  });

  test.each(['docker.io', 'index.docker.io', 'registry-1.docker.io', 'auth.docker.io'])(
    'of Docker Hub are found under %s',
    async (name) => {
      const held = of(source(name, 'hub'));
      const realm = new URL('https://auth.docker.io/token');
      expect(await userFor(held, 'registry-1.docker.io')).toBe('hub');
      expect(await userFor(held, 'auth.docker.io')).toBe('hub');
      const hub = registryHost('registry-1.docker.io', 443);
      expect((await held.loginForRealm(hub, realm, 'a/b'))?.username).toBe('hub');
    },
  );

  test('are others after they are replaced', async () => {
    const held = of(source('a.example', 'old'));
    const { generation } = held;
    held.replace([source('a.example', 'new')]);
    expect(await userFor(held, 'a.example')).toBe('new');
    expect(held.generation).not.toBe(generation);
  });
});

describe('credentials for a token service', () => {
  const held = of(
    source('registry.shop.example', 'shop'),
    source('auth.elsewhere.example', 'named'),
    source('registry.shop.co.uk', 'uk'),
    source('me.github.io', 'page'),
    source('*', 'store'),
  );
  test.each([
    ['registry.shop.example', 'https://registry.shop.example/token', 'shop'],
    ['registry.shop.example', 'https://auth.shop.example:8443/token', 'shop'],
    ['registry.shop.example', 'https://shop.example.evil.example/token', undefined],
    ['registry.shop.example', 'http://registry.shop.example/token', undefined],
    ['registry.shop.co.uk', 'https://evil.co.uk/token', undefined],
    ['me.github.io', 'https://evil.github.io/token', undefined],
    // what is held by its name goes there for registries that are listed, and for its neighbours
    ['listed.example', 'https://auth.elsewhere.example/token', 'named'],
    ['registry.elsewhere.example', 'https://auth.elsewhere.example/token', 'named'],
    ['cdn.foreign.example', 'https://auth.elsewhere.example/token', undefined],
    // another port is another service
    ['listed.example', 'https://auth.elsewhere.example:8443/token', undefined],
    // a store knows every name: it names none
    ['listed.example', 'https://evil.test/token', undefined],
    ['other.example', 'https://auth.other.example/token', 'store'],
  ])('of %s at %s: %s', async (registry, realm, user) => {
    const login = await held.loginForRealm(registryHost(registry, 443), new URL(realm), 'a/b');
    expect(login?.username).toBe(user);
  });
});

describe('a login that is fetched', () => {
  test('is fetched again after it was refused, but not at each refusal', async () => {
    let time = 0;
    let fetched = 0;
    const held = fetchedSource({
      host: 'a.example',
      fetch: () => {
        fetched += 1;
        const value = { kind: 'password', username: `u${fetched}`, secret: new Secret('s') } as const;
        return Promise.resolve({ value, lifetime: 3_600_000 });
      },
      onFailure: () => undefined,
      now: () => time,
    });
    const first = await held.login('a.example');
    first?.refused();
    expect((await held.login('a.example'))?.username).toBe('u1');
    time = 10_000;
    first?.refused();
    expect((await held.login('a.example'))?.username).toBe('u2');
    // each host has its own
    expect((await held.login('b.example'))?.username).toBe('u3');
  });

  test('that cannot be had is not asked for at each turn', async () => {
    let time = 0;
    let fetched = 0;
    const held = fetchedSource({
      host: 'a.example',
      fetch: () => {
        fetched += 1;
        return Promise.reject(new Error(`failure ${fetched}`));
      },
      onFailure: () => undefined,
      now: () => time,
    });
    await expect(held.login('a.example')).rejects.toThrow('failure 1');
    await expect(held.login('a.example')).rejects.toThrow('failure 1');
    time = 5_000;
    await expect(held.login('a.example')).rejects.toThrow('failure 2');
  });
});
