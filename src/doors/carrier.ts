/** The socket below a TLS one, which Node keeps to itself; undefined below a plain one. */
export function carrierOf(socket: object): object | undefined {
  const carrier = '_parent' in socket ? socket._parent : undefined;
  return typeof carrier === 'object' && carrier !== null ? carrier : undefined;
}
