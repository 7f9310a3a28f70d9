import { mkdtemp, rm } from 'node:fs/promises';
import type { ServerOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { callbackify } from 'node:util';
import { loadAuthority, type Authority } from '../../src/ca/authority.ts';
import { createLeafContexts } from '../../src/ca/contexts.ts';
import { mintLeaf } from '../../src/ca/leaf.ts';

let made: Promise<Authority> | undefined;

/** The authority behind all scripted servers of this process; made by the proxy's own code, as it is at hand. */
function authority(): Promise<Authority> {
  made ??= (async () => {
    const directory = await mkdtemp(join(tmpdir(), 'breakwater-upstream-ca-'));
    try {
      return await loadAuthority({
        directory,
        certificateFile: undefined,
        keyFile: undefined,
        passphrase: undefined,
      });
    } finally {
      await rm(directory, { recursive: true });
    }
  })();
  return made;
}

/** The PEM that must be trusted to reach scripted servers. */
export async function upstreamCa(): Promise<string> {
  return (await authority()).certificatePem;
}

/** Options of a server that is `127.0.0.1` without a server name, and `localhost` with it. */
export async function testTls(): Promise<ServerOptions> {
  const root = await authority();
  const contexts = createLeafContexts(root);
  const { certificatePem, keyPem } = await mintLeaf(root, '127.0.0.1', Date.now());
  return {
    cert: certificatePem + root.chainPem,
    key: keyPem,
    SNICallback: callbackify(async (name: string) => contexts.contextFor(name)),
  };
}
