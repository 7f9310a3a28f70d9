import { createPullClient, type PullClient } from './pull-client.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './scripted-registry.ts';
import type { ScriptedServer } from './scripted-server.ts';
import { startProxy, type ProxyProcess } from './start-proxy.ts';

export interface StageOptions {
  readonly tls?: boolean;
  /** Further servers that are intercepted; they are the caller's to close. */
  readonly registries?: readonly ScriptedServer[];
  /** Settings of the proxy, or what makes them of the registry. */
  readonly env?:
    | Readonly<Record<string, string>>
    | ((registry: ScriptedRegistry) => Readonly<Record<string, string>>);
}

/** A registry, the proxy before it, and a client. */
export interface Stage extends AsyncDisposable {
  readonly registry: ScriptedRegistry;
  readonly proxy: ProxyProcess;
  readonly client: PullClient;
  /** A further client, of this registry or another, with connections of its own. */
  newClient(registry?: ScriptedServer): PullClient;
  close(): Promise<void>;
}

export async function startStage({
  tls = false,
  registries = [],
  env = {},
}: StageOptions = {}): Promise<Stage> {
  const registry = await startScriptedRegistry({ tls });
  const proxy = await startProxy({
    registries: [registry, ...registries],
    env: typeof env === 'function' ? env(registry) : env,
  });
  const clients: PullClient[] = [];
  const newClient: Stage['newClient'] = (target = registry) => {
    const client = createPullClient(proxy, target.host);
    clients.push(client);
    return client;
  };
  const close = async (): Promise<void> => {
    for (const client of clients) client.close();
    await proxy[Symbol.asyncDispose]();
    await registry.close();
  };
  return { registry, proxy, client: newClient(), newClient, close, [Symbol.asyncDispose]: close };
}
