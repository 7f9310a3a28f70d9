/** Calls the newest listener at each SIGHUP; one that came before there was any is told to the first. */
export function hangUpSignal(): (listener: () => void) => void {
  let current: (() => void) | undefined;
  let isMissed = false;
  process.on('SIGHUP', () => {
    if (current === undefined) isMissed = true;
    else current();
  });
  return (listener) => {
    current = listener;
    if (isMissed) listener();
    isMissed = false;
  };
}
