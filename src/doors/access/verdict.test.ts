import { describe, expect, test } from 'vitest';
import { parseAccessRules } from '../../config/access-rule.ts';
import { askedAccess } from './asked-access.ts';
import { verdictOf, type Verdict } from './verdict.ts';

const RULES = parseAccessRules(
  JSON.stringify([
    { access: 'deny', clients: '10.6.6.0/24' },
    { access: 'allow', users: 'ci', registry: 'ghcr.io', repository: 'team/*', action: 'push' },
    { access: 'deny', repository: 'team/secret' },
    { access: 'allow', clients: '10.0.0.0/8', action: 'pull' },
    { access: 'allow', users: '*', registry: 'quay.io' },
  ]),
);

function verdicts(
  host: string,
  method: string,
  path: string,
  { user, address = '10.1.1.1' }: { user?: string; address?: string } = {},
): readonly Verdict[] {
  return askedAccess(method, path).map((asked) => verdictOf(RULES, { address, user, host }, asked));
}

describe('the first rule that matches decides', () => {
  test.each([
    ['GET', '/v2/team/app/manifests/1', undefined, ['allow']],
    ['GET', '/v2/team/secret/manifests/1', undefined, ['deny']],
    ['PUT', '/v2/team/app/manifests/1', undefined, ['login']],
    ['PUT', '/v2/team/app/manifests/1', 'alice', ['deny']],
    ['PUT', '/v2/team/app/manifests/1', 'ci', ['allow']],
    ['DELETE', '/v2/team/app/manifests/1', 'alice', ['deny']],
    ['POST', '/v2/team/app/blobs/uploads/', 'ci', ['allow']],
    // the state of an upload is the business of whoever pushes
    ['GET', '/v2/team/app/blobs/uploads/1', 'alice', ['deny']],
    ['PUT', '/v2/other/app/manifests/1', 'ci', ['deny']],
    // a mount reads what it names
    ['POST', '/v2/team/app/blobs/uploads/?mount=sha256:a&from=team/secret', 'ci', ['allow', 'deny']],
    ['POST', '/v2/team/app/blobs/uploads/?from=team/x&from=team%2Fsecret', 'ci', ['allow', 'allow', 'deny']],
    ['GET', '/v2/', undefined, ['allow']],
    ['POST', '/token', undefined, ['allow']],
    ['GET', '/v2/auth?service=quay.io', undefined, ['allow']],
  ] as const)('%s %s of %s', (method, path, user, expected) => {
    expect(verdicts('ghcr.io', method, path, user === undefined ? {} : { user })).toEqual(expected);
  });

  test('an address that is denied first may not even enter', () => {
    expect(verdicts('ghcr.io', 'GET', '/v2/', { address: '10.6.6.1' })).toEqual(['deny']);
    expect(verdicts('ghcr.io', 'GET', '/v2/', { address: '10.6.6.1', user: 'ci' })).toEqual(['deny']);
  });

  test('what no rule matches is refused, or wants a login that a rule would take', () => {
    const elsewhere = { address: '192.0.2.1' };
    expect(verdicts('quay.io', 'GET', '/v2/a/manifests/1', elsewhere)).toEqual(['login']);
    expect(verdicts('quay.io', 'GET', '/v2/a/manifests/1', { ...elsewhere, user: 'x' })).toEqual(['allow']);
    expect(verdicts('gcr.io', 'GET', '/v2/a/manifests/1', { ...elsewhere, user: 'x' })).toEqual(['deny']);
  });

  test('a rule for repositories opens neither the catalog nor other interfaces', () => {
    const rules = parseAccessRules('[{"access":"allow","repository":"team/*"}]');
    const asker = { address: '10.1.1.1', user: undefined, host: 'ghcr.io' };
    for (const path of ['/v2/_catalog', '/api/v2.0/projects', '/v2/other/tags/list', '/v2/team/x/unknown']) {
      expect(askedAccess('GET', path).map((asked) => verdictOf(rules, asker, asked))).toEqual(['deny']);
    }
    // a mount that does not say from where is one from anywhere
    const mount = askedAccess('POST', '/v2/team/app/blobs/uploads/?mount=sha256:a');
    expect(mount.map((asked) => verdictOf(rules, asker, asked))).toEqual(['allow', 'deny']);
    expect(verdictOf(rules, asker, { kind: 'entry' })).toBe('allow');
  });
});
