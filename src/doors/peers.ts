import type { Socket } from 'node:net';
import type { Client } from './access/admission.ts';

/** Who is at the other end of connections that do not tell it themselves. */
export type Peers = WeakMap<Socket, Client>;
