import type { Route } from '../registry/route.ts';
import type { LinkTable } from '../store/index/link-table.ts';
import type { ReplyTable } from '../store/index/reply-table.ts';
import type { TagTable } from '../store/index/tag-table.ts';
import type { Exchange } from './exchange.ts';
import type { PassThrough } from './pass-through.ts';
import type { ResolveTag } from './tag-resolve.ts';

/** Sends a push on as it is; what it changes is asked of upstream again. */
export type Push = (exchange: Exchange, route: Route) => Promise<void>;

export interface PushParts {
  readonly links: LinkTable;
  readonly tags: TagTable;
  readonly replies: ReplyTable;
  readonly resolve: ResolveTag;
  readonly passThrough: PassThrough;
}

export function createPush({ links, tags, replies, resolve, passThrough }: PushParts): Push {
  return async (exchange, route) => {
    const registry = exchange.registry.name;
    await passThrough(exchange, ({ status }) => {
      if (status >= 300) return;
      const gone = exchange.request.method === 'DELETE';
      if (gone && route.kind === 'blob') links.delete(registry, route.repository, route.digest);
      if (route.kind !== 'manifest') return;
      const { repository, reference } = route;
      if (reference.kind === 'tag') tags.delete({ registry, repository, tag: reference.tag });
      if (gone && reference.kind === 'digest') {
        tags.deleteTo(registry, repository, reference.digest);
        links.delete(registry, repository, reference.digest);
      }
      replies.deleteBelow(registry, `/v2/${repository}/`);
      resolve.forget();
    });
  };
}
