import { BreakwaterError } from '../registry/errors.ts';

/** A default that depends on the machine: `folder` where it exists (a mounted volume), `otherwise` elsewhere. */
interface FolderDefault {
  readonly folder: string;
  readonly otherwise: string;
}

/** One setting, declared once; the environment, the command line, the docs and `Config` are made from it. */
export interface Setting<Value> {
  /** Name of the environment variable; a secret may also be read from the file that `<env>_FILE` names. */
  readonly env: string;
  /** Its flag on the command line, where that is not the variable in small letters. */
  readonly flag?: `--${string}`;
  /** Other names that are accepted; `env` wins over them, an earlier one over a later. */
  readonly aliases?: readonly string[];
  /** Place in the configuration file, e.g. `cache.max_size`; undefined for what the file cannot set. */
  readonly path: string | undefined;
  /** Gives the value, or throws `SETTING_INVALID`; `textOf` gives the text of another setting, quotes removed. */
  readonly parse: (text: string, textOf: (env: string) => string) => Value;
  /** Gives the value of a list or mapping in the configuration file, where one may stand; its scalars are text. */
  readonly parseStructure?: (value: unknown) => Value;
  /** What a user would write for it; undefined where the value is absent unless set. */
  readonly default: string | FolderDefault | undefined;
  /** What it does, for people, in Markdown without line ends. */
  readonly help: string;
  /** Never shown; also readable from a file. */
  readonly secret?: true;
  /** When a change in the configuration file counts: once it is read again, or when the proxy starts anew. */
  readonly takesEffect: 'reload' | 'restart';
  /** The version that first had it. */
  readonly since: string;
}

/** The type of a declared setting's value. */
export type ValueOf<Declared> =
  Declared extends Setting<infer Value>
    ? Declared extends { readonly default: undefined }
      ? Value | undefined
      : Value
    : never;

/** The flag of a setting; undefined for a secret, as every user of a machine can read its command lines. */
export function flagOf({ env, flag, secret }: Setting<unknown>): string | undefined {
  if (secret === true) return undefined;
  return flag ?? `--${env.toLowerCase().replaceAll('_', '-')}`;
}

/**
 * The failure of a setting's parser: why the text cannot be used, and how to mend it.
 * It names no setting; whoever reads the setting adds the name. It must not quote a secret.
 */
export function settingError(reason: string, mend: string): BreakwaterError {
  return new BreakwaterError('SETTING_INVALID', reason, { mend });
}
