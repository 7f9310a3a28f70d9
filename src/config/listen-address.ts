import { parseHostPort } from './host-port.ts';
import { settingError } from './setting.ts';

/** Where a listener binds; port 0 lets the system choose one. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

const EVERY_ADDRESS = '0.0.0.0';

/** Parses `3128`, `:3128`, `host:3128` or `[::]:3128`; without a host every IPv4 address is meant. */
export function parseListenAddress(text: string): ListenAddress {
  const [, alone] = /^:?(\d{1,5})$/.exec(text.trim()) ?? [];
  const address = parseHostPort(alone === undefined ? text.trim() : `${EVERY_ADDRESS}:${alone}`);
  if (address?.port === undefined) {
    throw settingError('it is not a listen address', 'Write host:port, e.g. 0.0.0.0:3128 or [::]:3128.');
  }
  return { host: address.host, port: address.port };
}
