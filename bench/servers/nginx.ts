import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pinning } from '../machine.ts';
import { childrenOf } from '../process-usage.ts';
import { freePort, startProgram, stopProgram, type MeasuredServer } from './server.ts';

const INSTALL = 'apt-get update && apt-get install --no-install-recommends nginx-light openssl';

/** The version of nginx; installs it from Debian where that is possible, and says so. */
export function ensureNginx(say: (text: string) => void): string {
  const found = version();
  if (found !== undefined) return found;
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) {
    throw new Error(`nginx is needed as the peer; on Debian: ${INSTALL}`);
  }
  say(`installing nginx, the peer: ${INSTALL}`);
  // runlevel 1: its service must not start
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  spawnSync('sh', ['-c', INSTALL.replace('install', 'install -y')], { env, stdio: 'ignore' });
  const installed = version();
  if (installed === undefined) throw new Error(`nginx could not be installed: ${INSTALL}`);
  return installed;
}

/**
 * Starts nginx as a peer: static files for blobs, `proxy_cache` for manifests, both over TLS at once, with a key of
 * the same kind and one line of access log a request, as the proxy writes.
 */
export async function startNginx(
  folder: string,
  root: string,
  registryPort: number,
  { server }: Pinning,
): Promise<MeasuredServer> {
  const port = await freePort();
  mkdirSync(join(folder, 'tmp'), { recursive: true });
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const key = join(folder, 'nginx.key');
  const certificate = join(folder, 'nginx.crt');
  spawnSync('openssl', [...request, '-subj', '/CN=localhost', '-keyout', key, '-out', certificate]);
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, configuration({ folder, root, port, registryPort, key, certificate }));
  const command = [...server, 'nginx', '-e', join(folder, 'nginx-error.log'), '-c', file];
  const child = await startProgram(command, port, join(folder, 'nginx.log'), process.env);
  const { pid } = child;
  if (pid === undefined) throw new Error('nginx has no process id');
  return {
    name: 'nginx',
    target: { port, serverName: 'localhost' },
    pids: () => childrenOf(pid, 'worker process'),
    fileOf: ({ file: served }) => served,
    stop: () => stopProgram(child),
  };
}

interface Options {
  readonly folder: string;
  readonly root: string;
  readonly port: number;
  readonly registryPort: number;
  readonly key: string;
  readonly certificate: string;
}

function configuration({ folder, root, port, registryPort, key, certificate }: Options): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `  ${kind}_temp_path ${folder}/tmp/${kind};`,
  );
  return `
${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
events { worker_connections 4096; }
http {
  log_format json escape=json '{"access_time":"$time_local","upstream_cache_status":"$upstream_cache_status",'
    '"method":"$request_method","uri":"$uri","status":"$status","bytes_sent":"$body_bytes_sent",'
    '"upstream_response_time":"$upstream_response_time","host":"$host","upstream":"$upstream_addr"}';
  access_log ${folder}/nginx-access.log json;
${temporary.join('\n')}
  proxy_cache_path ${folder}/nginx-cache levels=2 keys_zone=manifests:10m max_size=1g inactive=1d;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  types { }
  default_type application/octet-stream;
  server {
    listen 127.0.0.1:${port} ssl backlog=4096;
    ssl_certificate ${certificate};
    ssl_certificate_key ${key};
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    location ~ /blobs/ { root ${root}; }
    location ~ /manifests/ {
      proxy_pass http://127.0.0.1:${registryPort};
      proxy_cache manifests;
      proxy_cache_valid 200 1d;
      add_header X-Cache-Status $upstream_cache_status;
    }
  }
}
`;
}

function version(): string | undefined {
  const { stderr } = spawnSync('nginx', ['-v'], { encoding: 'utf8' });
  return /nginx\/(\S+)/.exec(stderr ?? '')?.[1];
}
