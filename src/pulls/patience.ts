/** Milliseconds that a client waits for upstream where the cache could answer: containerd gives up after 30 s. */
export const PATIENCE_MS = 4_000;
/** The same where what stands in is worth less than a late answer; headers are to be there within 10 s. */
export const LONG_PATIENCE_MS = 8_000;

/**
 * What `asked` gives, or `fallback`, where there is one, when it takes too long; `asked` goes on all the same.
 * @param patience milliseconds until then.
 */
export async function withPatience<T>(
  asked: Promise<T>,
  fallback: T | undefined,
  patience: number = PATIENCE_MS,
): Promise<T> {
  if (fallback === undefined) return asked;
  asked.catch(() => undefined); // it may fail after the client was answered
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<T>((settle) => {
    timer = setTimeout(() => settle(fallback), patience);
  });
  try {
    return await Promise.race([asked, late]);
  } finally {
    clearTimeout(timer);
  }
}
