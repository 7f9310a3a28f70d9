import { settingError } from './setting.ts';
import { readWords } from './structure.ts';

/** The clouds whose registries the proxy can sign in to with its own identity there. */
const PROVIDERS = ['ecr', 'google', 'azure'] as const;

/** Registries of a cloud that are signed in to with the identity that the proxy has there. */
export interface CloudRegistry {
  readonly provider: (typeof PROVIDERS)[number];
  /** `host` or `host:port`; a label may be `*`. */
  readonly host: string;
}

const ENTRY = /^([a-z]+)=((?:\*|[a-z0-9_-]+)(?:\.(?:\*|[a-z0-9_-]+))*(?::\d{1,5})?)$/;

/** Parses a list of `provider=host`, divided by white space or commas. */
export function parseCloudRegistries(text: string): readonly CloudRegistry[] {
  return text
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .map(parseCloudRegistry);
}

/** Reads a list of `provider=host`, one an entry. */
export function readCloudRegistries(value: unknown): readonly CloudRegistry[] {
  return readWords(value, 'registry', parseCloudRegistry);
}

function parseCloudRegistry(entry: string): CloudRegistry {
  const [, word, host = ''] = ENTRY.exec(entry.toLowerCase()) ?? [];
  const provider = PROVIDERS.find((candidate) => candidate === word);
  if (provider !== undefined && host !== '*') return { provider, host };
  throw settingError(
    `${JSON.stringify(entry)} is not a registry of a cloud`,
    `Write ecr=HOST, google=HOST or azure=HOST, e.g. azure=team.azurecr.io; * stands for one label.`,
  );
}
