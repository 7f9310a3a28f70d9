import { once } from 'node:events';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../src/ca/openssl.fixture.ts';
import { startLocalProxy } from './support/local-proxy.ts';
import { openSecure } from './support/wire.ts';
import { randomBlob } from './upstream/content.ts';
import { blobPath } from './upstream/paths.ts';
import { startScriptedRegistry } from './upstream/scripted-registry.ts';

test('a client that leaves in the middle is logged with the bytes it got', async () => {
  await using folder = await temporaryFolder();
  await using registry = await startScriptedRegistry();
  await using proxy = await startLocalProxy(folder.path, { REGISTRIES: `http://${registry.host}` });
  const blob = randomBlob('left', 1_000_000);
  registry.put({ repository: 'team/left', blobs: [blob] });
  const path = blobPath('team/left', blob);
  registry.hold({ path }, 500_000);
  const client = await openSecure(proxy, registry.host);
  client.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  for (let got = 0; got < 500_000;) {
    const [chunk] = await once(client, 'data');
    got += (chunk as Buffer).length;
  }
  client.destroy();
  const line = await proxy.untilAnswered(({ uri }) => uri === path);
  expect(line).toMatchObject({
    complete: 'false',
    bytes_sent: expect.stringMatching(/^4[89]\d{4}$|^500000$/),
  });
});
