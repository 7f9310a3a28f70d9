/** One challenge of a `WWW-Authenticate` header (RFC 9110 section 11.6.1). */
export interface Challenge {
  /** Lower case. */
  readonly scheme: string;
  /** Names in lower case; of a name given twice the first value. */
  readonly parameters: ReadonlyMap<string, string>;
  /** What some schemes send in place of parameters, e.g. `Negotiate`. */
  readonly token68?: string;
}

/** What a Bearer challenge asks for (distribution's token authentication). */
export interface BearerChallenge {
  readonly realm: URL;
  readonly service: string | undefined;
  readonly scope: string | undefined;
}

const SPACE = /[ \t]*/y;
const SEPARATORS = /[ \t,]*/y;
const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const EQUALS = /[ \t]*=[ \t]*/y;
const QUOTED = /"[^"\\]*(?:\\.[^"\\]*)*"/sy;
/** Wider than a token: realms and services come unquoted, too. */
const UNQUOTED = /[^ \t,"]+/y;
const TOKEN68 = /[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/y;

/** A text and how far it is read; `take` moves on past a pattern that matches where it stands. */
interface Scanner {
  at: number;
  take(pattern: RegExp): string | undefined;
}

/**
 * Parses all challenges of a header, or of several lines of it, in order.
 * A comma separates parameters as well as challenges; a name without `=` behind it begins a challenge.
 * What follows the first place that breaks the grammar is left out.
 */
export function parseChallenges(header: string | readonly string[] | undefined): Challenge[] {
  return [header ?? []].flat().flatMap(parseLine);
}

/** The first Bearer challenge whose realm is an absolute http or https URL. */
export function bearerChallenge(challenges: readonly Challenge[]): BearerChallenge | undefined {
  for (const { scheme, parameters } of challenges) {
    const realm = scheme === 'bearer' ? (parameters.get('realm') ?? '') : '';
    if (!/^https?:\/\//i.test(realm) || !URL.canParse(realm)) continue;
    return { realm: new URL(realm), service: parameters.get('service'), scope: parameters.get('scope') };
  }
  return undefined;
}

/** True where Basic credentials are one of the answers. */
export function hasBasicChallenge(challenges: readonly Challenge[]): boolean {
  return challenges.some(({ scheme }) => scheme === 'basic');
}

function parseLine(text: string): Challenge[] {
  const scanner = scannerOf(text);
  const challenges: Challenge[] = [];
  for (;;) {
    scanner.take(SEPARATORS);
    const scheme = scanner.take(TOKEN)?.toLowerCase();
    if (scheme === undefined) return challenges;
    const hasSpace = scanner.take(SPACE) !== '';
    const token68 = hasSpace ? scanner.take(TOKEN68) : undefined;
    if (token68 !== undefined) {
      challenges.push({ scheme, parameters: new Map(), token68 });
      continue;
    }
    const { parameters, isBroken } = parseParameters(scanner);
    challenges.push({ scheme, parameters });
    if (isBroken) return challenges;
  }
}

function parseParameters(scanner: Scanner): { parameters: Map<string, string>; isBroken: boolean } {
  const parameters = new Map<string, string>();
  for (;;) {
    const before = scanner.at;
    scanner.take(SEPARATORS);
    const name = scanner.take(TOKEN)?.toLowerCase();
    if (name === undefined || scanner.take(EQUALS) === undefined) {
      scanner.at = before;
      return { parameters, isBroken: false };
    }
    const value = parseValue(scanner);
    if (value === undefined) return { parameters, isBroken: true };
    if (!parameters.has(name)) parameters.set(name, value);
  }
}

function parseValue(scanner: Scanner): string | undefined {
  const quoted = scanner.take(QUOTED);
  if (quoted === undefined) return scanner.take(UNQUOTED);
  return quoted.slice(1, -1).replaceAll(/\\(.)/gs, '$1');
}

function scannerOf(text: string): Scanner {
  return {
    at: 0,
    take(pattern) {
      pattern.lastIndex = this.at;
      const found = pattern.exec(text)?.[0];
      this.at += found?.length ?? 0;
      return found;
    },
  };
}
