import { LRUCache } from 'lru-cache';
import type { GlobMatcher } from '../config/glob.ts';
import type { Login } from './login.ts';
import { createRenewed, type Lease, type Renewed } from './renewed.ts';

/** Credentials for a host, or hosts, and perhaps only for some of their repositories. */
export interface CredentialSource {
  /** `host` or `host:port`; a `*` stands for one label, and alone for every host. */
  readonly host: string;
  readonly repository: GlobMatcher | undefined;
  /**
   * The login for one of its hosts; undefined where it has none.
   * @throws `CREDENTIALS_UNAVAILABLE` where it cannot be had.
   */
  login(host: string): Promise<Login | undefined>;
}

/** A login as it is fetched; undefined where there is none. */
export type FetchedLogin = Omit<Login, 'refused'> | undefined;

/** A source of one login that stays as it is. */
export function fixedSource(
  host: string,
  repository: GlobMatcher | undefined,
  fixed: Omit<Login, 'refused'>,
): CredentialSource {
  const login = Promise.resolve({ ...fixed, refused: () => undefined });
  return { host, repository, login: () => login };
}

/** Milliseconds for which a login that was refused is not fetched again. */
const REFUSED_HOLD_MS = 10_000;
/** The same after it could not be had: a helper is a process, and a cloud may take long to fail. */
const FAILED_HOLD_MS = 5_000;
const MAX_HOSTS = 1_000;

export interface FetchedSourceParts {
  readonly host: string;
  /** Gives the login for a host and how long it is good for. */
  readonly fetch: (host: string) => Promise<Lease<FetchedLogin>>;
  readonly onFailure: (thrown: unknown) => void;
  readonly now: () => number;
}

/** A source whose logins end: each is kept for its life, renewed ahead of its end, and dropped when it is refused. */
export function fetchedSource({ host, fetch, onFailure, now }: FetchedSourceParts): CredentialSource {
  const logins = new LRUCache<string, Renewed<Login | undefined>>({ max: MAX_HOSTS });

  function loginOf(asked: string): Renewed<Login | undefined> {
    let failure: { readonly thrown: unknown; readonly until: number } | undefined;
    const fetchOrFail = async (): Promise<Lease<FetchedLogin>> => {
      if (failure !== undefined && now() < failure.until) throw failure.thrown;
      try {
        return await fetch(asked);
      } catch (thrown) {
        failure = { thrown, until: now() + FAILED_HOLD_MS };
        throw thrown;
      }
    };
    const renewed = createRenewed<Login | undefined>(
      async () => {
        const { value, lifetime } = await fetchOrFail();
        const fetchedAt = now();
        const login = value && {
          ...value,
          refused() {
            if (now() - fetchedAt >= REFUSED_HOLD_MS) renewed.drop(login);
          },
        };
        return { value: login, lifetime };
      },
      onFailure,
      now,
    );
    return renewed;
  }

  return {
    host,
    repository: undefined,
    login(asked) {
      const known = logins.get(asked);
      if (known !== undefined) return known.get();
      const renewed = loginOf(asked);
      logins.set(asked, renewed);
      return renewed.get();
    },
  };
}
