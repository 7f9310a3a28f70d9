import type { buildConnector } from 'undici';

/** What is needed of undici's parser: llhttp, compiled to WebAssembly, and where its state lies. */
interface Parser {
  readonly ptr: number;
  readonly llhttp: { llhttp_set_lenient_optional_cr_before_lf(state: number, on: number): void };
}

/**
 * Has the answers on a connector's connections read even where lines of their heads end with LF alone, as those of
 * Docker Hub's limiter do (RFC 9112 section 2.2 allows it). undici has no option for it, but the parser that it brings
 * has: a version of undici that keeps it elsewhere is as strict as before.
 */
export function acceptBareLf(connect: buildConnector.connector): buildConnector.connector {
  return (target, callback) =>
    connect(target, (...result) => {
      callback(...result); // makes the socket's parser
      const [, socket] = result;
      const parser = parserOf(socket);
      parser?.llhttp.llhttp_set_lenient_optional_cr_before_lf(parser.ptr, 1);
    });
}

/** @param socket what undici gave in its place where there is none is not what its types say. */
function parserOf(socket: unknown): Parser | undefined {
  if (typeof socket !== 'object' || socket === null) return undefined;
  const fields = Object.getOwnPropertySymbols(socket).map((symbol): unknown => Reflect.get(socket, symbol));
  return fields.find(isParser);
}

function isParser(value: unknown): value is Parser {
  if (typeof value !== 'object' || value === null) return false;
  if (!('ptr' in value) || typeof value.ptr !== 'number') return false;
  const { llhttp } = 'llhttp' in value ? value : { llhttp: undefined };
  return (
    typeof llhttp === 'object' && llhttp !== null && 'llhttp_set_lenient_optional_cr_before_lf' in llhttp
  );
}
