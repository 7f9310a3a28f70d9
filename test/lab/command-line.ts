import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { liveLabs, sweep, type LabState } from './folder.ts';
import type { Lab, LabOptions } from './lab.ts';
import { startProxy } from './proxy.ts';
import { entering } from './space.ts';

const USAGE = `Usage: node test/lab/lab.ts COMMAND

  up [--proxy]   bring a lab up, with Breakwater if asked for, and keep it until Ctrl-C or "down"
  down           end it, and clear what crashed labs left
  in CMD...      run a command next to the servers, trusting their authority
  client CMD...  run a command where clients run: through the proxy, trusting the proxy's authority

With several labs up, LAB=FOLDER says which one is meant.
`;

type Start = (options: LabOptions) => Promise<Lab>;

/** The lab by hand; resolves with the exit code. */
export async function commandLine(args: readonly string[], start: Start): Promise<number> {
  const [command, ...rest] = args;
  switch (command) {
    case 'up':
      return up(rest.includes('--proxy'), start);
    case 'down':
      return down();
    case 'in':
    case 'client':
      return enter(command, rest);
    default:
      console.error(USAGE);
      return 2;
  }
}

async function up(withProxy: boolean, start: Start): Promise<number> {
  // A signal that comes while the lab is coming up is obeyed as soon as it is there.
  const told = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
  });
  const lab = await start({ byHand: true });
  try {
    if (withProxy) await startProxy(lab, proxyFolders(lab.work));
    console.log(`The lab is up in ${lab.work}, its authority is ${lab.ca}\n`);
    for (const { ref, digest } of Object.values(lab.images)) console.log(`  ${ref}  ${digest}`);
    if (!withProxy) console.log(`\nA proxy by hand:\n  node test/lab/lab.ts in ${proxyCommand(lab)}`);
    console.log(`\nThen, for example:
  node test/lab/lab.ts client skopeo inspect --raw docker://docker.io/library/multi:1
  node test/lab/lab.ts in curl --cacert ${lab.ca} https://ghcr.io/v2/team/app/tags/list

Ctrl-C, or "node test/lab/lab.ts down", ends it.`);
    await told;
  } finally {
    await lab.down();
  }
  return 0;
}

async function down(): Promise<number> {
  const lab = await chosenLab();
  if (lab !== undefined) {
    process.kill(lab.pid, 'SIGTERM');
    while ((await liveLabs()).some(({ work }) => work === lab.work)) await sleep(50);
  }
  await sweep();
  return 0;
}

async function chosenLab(): Promise<LabState | undefined> {
  const wanted = process.env['LAB'];
  const labs = (await liveLabs()).filter((lab) => lab.byHand === true && (wanted ?? lab.work) === lab.work);
  if (labs.length > 1) throw new Error(`set LAB to one of: ${labs.map(({ work }) => work).join(' ')}`);
  return labs[0];
}

async function enter(where: 'in' | 'client', command: readonly string[]): Promise<number> {
  const lab = await chosenLab();
  const pid = where === 'in' ? lab?.servers : lab?.clients;
  if (lab === undefined || pid === undefined || command.length === 0) {
    console.error(lab === undefined ? 'No lab is up.' : USAGE);
    return 2;
  }
  const [program = '', ...args] = entering(pid, process.cwd(), command);
  const { status, error } = spawnSync(program, args, {
    stdio: 'inherit',
    env: environment(where, lab),
  });
  if (error !== undefined) throw error;
  return status ?? 1;
}

function environment(where: 'in' | 'client', { work }: LabState): NodeJS.ProcessEnv {
  const { PATH, TERM } = process.env;
  const base = { PATH, TERM, HOME: join(work, 'home'), TMPDIR: join(work, 'tmp') };
  if (where === 'in') return { ...base, SSL_CERT_FILE: join(work, 'pki', 'ca.crt') };
  const ca = join(proxyFolders(work).caDir, 'ca.crt');
  return { ...base, SSL_CERT_FILE: ca, CURL_CA_BUNDLE: ca, HTTPS_PROXY: 'http://proxy.test:3128' };
}

function proxyFolders(work: string): { cacheDir: string; caDir: string } {
  return { cacheDir: join(work, 'proxy', 'cache'), caDir: join(work, 'proxy', 'ca') };
}

function proxyCommand({ work, ca }: Lab): string {
  const { cacheDir, caDir } = proxyFolders(work);
  const settings = `LISTEN=127.0.0.9:3128 CACHE_DIR=${cacheDir} CA_DIR=${caDir} EXTRA_CA_FILE=${ca}`;
  return `env -u SSL_CERT_FILE ${settings} node src/main.ts serve`;
}
