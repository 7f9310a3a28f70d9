import type { Digest } from '../registry/digest.ts';

/** An object that is whole and was verified. */
export interface StoredObject {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  /** The manifest media type it was served with; undefined for blobs. */
  readonly mediaType: string | undefined;
}

/** Bytes that can be read at any offset, now or once they have arrived; a client never knows which. */
export interface ByteSource {
  /** All of them, where they are in memory. */
  readonly bytes?: Buffer;
  /** Bytes in all; undefined while upstream has not said. */
  readonly size: number | undefined;
  /** True while bytes are still to come. */
  readonly growing: boolean;
  /**
   * Reads into `buffer` from `position`, at least one byte, and waits where none has arrived yet.
   * Answers without a promise where the bytes are at hand. 0 means the end.
   * @throws `STORE_UNAVAILABLE` where the cache cannot give them, other failures where they will never come.
   */
  read(buffer: Buffer, position: number): number | Promise<number>;
  /**
   * Settles when more has arrived, where there is no byte at `position` yet: whoever waits with it needs no buffer
   * meanwhile. Undefined where `read` says more.
   */
  arrival?(position: number): Promise<void> | undefined;
  /** Told up to where, exclusive, the reads that follow will go at the most. */
  readUntil?(end: number): void;
  /** Lets go of the object; it may be evicted from now on. */
  close(): void;
}

/** An object that is being written; exactly one of `publish`, `keep` and `discard` ends it. */
export interface PartialObject {
  /** Bytes written so far; not 0 at the beginning where an earlier fill left some. */
  readonly length: number;
  /** Makes sure that an object of `size` bytes has room; throws `STORE_UNAVAILABLE` where it cannot. */
  reserve(size: number): Promise<void>;
  /** @throws `STORE_UNAVAILABLE`; the bytes before stay readable. */
  append(chunk: Uint8Array): Promise<void>;
  /** Reads bytes that were appended before. */
  read(buffer: Buffer, position: number): number;
  /**
   * Ends the bytes; gives their digest, by SHA-256 where none was expected.
   * @throws `DIGEST_MISMATCH` where they hash to another one than was expected.
   */
  verify(): Digest;
  /** Makes verified bytes durable and gives them their name. */
  publish(mediaType: string | undefined): Promise<StoredObject>;
  /** Leaves the bytes for a later fill of the same digest to go on from. */
  keep(): Promise<void>;
  /** Deletes what was written. */
  discard(): Promise<void>;
  /** Closes the file; call when the last reader is gone and the object ended. */
  release(): void;
}

/** Where verified bytes live; every implementation passes the same contract test. */
export interface Store {
  find(digest: Digest): StoredObject | undefined;
  /** Opens an object for reading and keeps it from eviction until closed; undefined where it is not stored. */
  open(digest: Digest): Promise<ByteSource | undefined>;
  /**
   * Begins an object, or goes on with one; `expected` is the digest it must have, undefined where the bytes decide.
   * @throws `STORE_UNAVAILABLE`.
   */
  begin(expected: Digest | undefined): Promise<PartialObject>;
  /** Bytes that a fill of this digest can go on from. */
  kept(digest: Digest): number;
  /** Gives up what was kept for later fills before `time` (milliseconds since the epoch). */
  dropKeptBefore(time: number): void;
  /** Keeps the media type of an object that was stored without one. */
  describe(digest: Digest, mediaType: string): void;
  remove(digest: Digest): Promise<void>;
  totals(): { readonly objects: number; readonly bytes: number };
  close(): Promise<void>;
}
