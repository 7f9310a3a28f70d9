import { asBreakwaterError, type BreakwaterError } from '../registry/errors.ts';
import { configChanges, type SettingChange } from './config-changes.ts';
import type { Config, LoadedConfig } from './config.ts';

/** What became of an attempt to read the configuration again. */
export type ReloadReport =
  | {
      readonly outcome: 'applied';
      /** What is in force from now on. */
      readonly config: Config;
      readonly changed: readonly SettingChange[];
      /** Changed, and without effect until the proxy starts anew. */
      readonly needRestart: readonly SettingChange[];
    }
  /** Nothing was changed: the configuration from before stays. */
  | { readonly outcome: 'refused'; readonly error: BreakwaterError };

/** The configuration in force, which can be read again while the proxy runs. */
export interface LiveConfig {
  readonly current: LoadedConfig;
  /** Reads and checks it, and puts it in force as a whole or not at all; never rejects. One after the other. */
  reload(): Promise<ReloadReport>;
}

/**
 * @param read reads the configuration; throws where it cannot be used.
 * @param apply puts a configuration in force; where it rejects, it must have changed nothing.
 */
export function createLiveConfig(
  first: LoadedConfig,
  read: () => LoadedConfig,
  apply: (config: Config) => Promise<void>,
): LiveConfig {
  let current = first;
  let last: Promise<unknown> = Promise.resolve();

  async function reload(): Promise<ReloadReport> {
    try {
      const { next, changed, needRestart } = configChanges(current, read());
      // also where no setting changed: the files that they name may have
      await apply(next.config);
      current = next;
      return { outcome: 'applied', config: next.config, changed, needRestart };
    } catch (thrown) {
      return { outcome: 'refused', error: asBreakwaterError(thrown) };
    }
  }

  return {
    get current() {
      return current;
    },
    reload() {
      const report = last.then(reload);
      last = report;
      return report;
    },
  };
}
