import { parseListenAddress, type ListenAddress } from './listen-address.ts';

/** Where the admin listener binds; `ifFree` where the proxy is to do without it when another program is there. */
export type AdminListen = 'off' | (ListenAddress & { readonly ifFree: boolean });

const IF_FREE = /\s+if\s+free$/i;

/** Parses `off`, or a listen address with `if free` behind it or not. */
export function parseAdminListen(text: string): AdminListen {
  const trimmed = text.trim();
  if (trimmed.toLowerCase() === 'off') return 'off';
  return { ...parseListenAddress(trimmed.replace(IF_FREE, '')), ifFree: IF_FREE.test(trimmed) };
}
