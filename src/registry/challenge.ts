/** One challenge of a `WWW-Authenticate` header (RFC 9110, 11.6.1). */
export interface Challenge {
  /** Lower case. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** What a Bearer challenge asks for (distribution's token authentication). */
export interface BearerChallenge {
  readonly realm: URL;
  readonly service: string | undefined;
  readonly scope: string | undefined;
}

const WHITE = /[ \t]*/y;
const SEPARATORS = /[ \t,]*/y;
const TOKEN = /[\w!#$%&'*+.^`|~-]+/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/sy;
const TOKEN68 = /[\w.~+/-]+=*(?=[ \t]*(?:,|$))/y;
const EQUALS = /[ \t]*=[ \t]*/y;

/** Parses all challenges of a header, or of several; what is not well-formed ends the list. */
export function parseChallenges(header: string | readonly string[] | undefined): Challenge[] {
  if (header === undefined) return [];
  return [header].flat().flatMap(parseHeader);
}

function parseHeader(text: string): Challenge[] {
  const challenges: Challenge[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found !== null) at += found[0].length;
    return found;
  };
  while (at < text.length) {
    take(SEPARATORS);
    const scheme = take(TOKEN)?.[0];
    if (scheme === undefined) break;
    const parameters = new Map<string, string>();
    challenges.push({ scheme: scheme.toLowerCase(), parameters });
    take(WHITE);
    for (;;) {
      const before = at;
      take(SEPARATORS);
      const name = take(TOKEN)?.[0];
      if (name === undefined || take(EQUALS) === null) {
        // a token68, or the scheme of the next challenge
        at = before;
        if (parameters.size === 0) take(TOKEN68);
        break;
      }
      const value = take(QUOTED)?.[1]?.replace(/\\(.)/gs, '$1') ?? take(TOKEN)?.[0];
      if (value === undefined) return challenges;
      parameters.set(name.toLowerCase(), value);
    }
    if (take(SEPARATORS)?.[0] === '' && at < text.length && !startsToken(text, at)) break;
  }
  return challenges;
}

function startsToken(text: string, at: number): boolean {
  TOKEN.lastIndex = at;
  return TOKEN.test(text);
}

/** The first Bearer challenge whose realm is a URL to ask. */
export function bearerChallenge(challenges: readonly Challenge[]): BearerChallenge | undefined {
  for (const { scheme, parameters } of challenges) {
    const realm = parameters.get('realm') ?? '';
    if (scheme !== 'bearer' || !/^https?:\/\//i.test(realm) || !URL.canParse(realm)) continue;
    return { realm: new URL(realm), service: parameters.get('service'), scope: parameters.get('scope') };
  }
  return undefined;
}

export function hasBasicChallenge(challenges: readonly Challenge[]): boolean {
  return challenges.some(({ scheme }) => scheme === 'basic');
}
