import { execFile, type ExecFileException } from 'node:child_process';
import { DOCKER_HUB } from '../registry/docker-hub.ts';
import { BreakwaterError } from '../registry/errors.ts';
import { Secret } from '../config/secret.ts';
import type { FetchedLogin } from './credential-source.ts';
import type { Lease } from './renewed.ts';

/** Milliseconds that a helper may take. */
const TIMEOUT_MS = 30_000;
/** Milliseconds for which its answer counts; helpers keep longer-lived ones themselves. */
const LIFETIME_MS = 5 * 60_000;
const MAX_OUTPUT = 64 * 1024;
/** What helpers say where they have nothing (docker-credential-helpers, `credentials/error.go`). */
const NOT_FOUND = /credentials not found/i;
/** Docker Hub has a name of its own in a credentials store. */
const STORE_NAME: Readonly<Record<string, string>> = { [DOCKER_HUB]: 'https://index.docker.io/v1/' };

/**
 * Asks a Docker credential helper, `docker-credential-NAME get`, for the login for a host.
 * What it writes is a secret and goes nowhere.
 * @throws `CREDENTIALS_UNAVAILABLE`.
 */
export async function askDockerHelper(
  name: string,
  host: string,
  timeout = TIMEOUT_MS,
): Promise<Lease<FetchedLogin>> {
  const program = `docker-credential-${name}`;
  const { output, reason } = await run(program, STORE_NAME[host] ?? host, timeout);
  if (reason === undefined) return { value: readLogin(program, output), lifetime: LIFETIME_MS };
  if (NOT_FOUND.test(output)) return { value: undefined, lifetime: LIFETIME_MS };
  throw unavailable(program, reason);
}

interface Ran {
  readonly output: string;
  /** Why it failed, without what it wrote. */
  readonly reason: string | undefined;
}

function run(program: string, input: string, timeout: number): Promise<Ran> {
  return new Promise((resolve) => {
    const options = { timeout, killSignal: 'SIGKILL', maxBuffer: MAX_OUTPUT } as const;
    const child = execFile(program, ['get'], options, (error, output) =>
      resolve({ output, reason: error === null ? undefined : reasonOf(error) }),
    );
    // a helper that does not read its input has its exit code to speak for it
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}

/** The error's own message quotes what the helper wrote. */
function reasonOf({ code, killed }: ExecFileException): string {
  if (code === 'ENOENT') return 'is not on the PATH';
  if (code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') return 'wrote too much';
  return killed === true ? 'took too long' : `ended with ${code}`;
}

function readLogin(program: string, output: string): FetchedLogin {
  let answer: unknown;
  try {
    answer = JSON.parse(output);
  } catch {
    throw unavailable(program, 'wrote no JSON');
  }
  const fields = new Map<string, unknown>(Object.entries(answer ?? {}));
  const username = fields.get('Username');
  const secret = fields.get('Secret');
  if (typeof username !== 'string' || typeof secret !== 'string')
    throw unavailable(program, 'wrote no login');
  if (secret === '') return undefined;
  // the protocol's mark of an identity token
  const kind = username === '<token>' ? 'refresh-token' : 'password';
  return { kind, username, secret: new Secret(secret) };
}

function unavailable(program: string, reason: string): BreakwaterError {
  return new BreakwaterError('CREDENTIALS_UNAVAILABLE', `the credential helper ${program} ${reason}`);
}
