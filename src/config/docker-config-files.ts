import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BreakwaterError } from '../registry/errors.ts';
import { parseDockerConfig, type DockerConfig } from './docker-config.ts';

/** The files of a mounted Kubernetes secret, by the type of the secret, and Docker's own. */
const IN_FOLDER = ['.dockerconfigjson', '.dockercfg', 'config.json'];

/**
 * Reads Docker configurations: files, or folders with files of the known names.
 * @throws `SETTING_INVALID` where one cannot be read or used.
 */
export async function readDockerConfigs(paths: readonly string[]): Promise<readonly DockerConfig[]> {
  return (await Promise.all(paths.map(readPath))).flat();
}

async function readPath(path: string): Promise<readonly DockerConfig[]> {
  try {
    const files = (await stat(path)).isDirectory() ? await filesIn(path) : [path];
    return await Promise.all(
      files.map(async (file) => parseDockerConfig(file, await readFile(file, 'utf8'))),
    );
  } catch (thrown) {
    if (thrown instanceof BreakwaterError) throw thrown;
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new BreakwaterError('SETTING_INVALID', `AUTH_DOCKER_CONFIG: ${path} cannot be read: ${reason}`, {
      mend: 'Name a config.json, or the folder that a Kubernetes secret is mounted at.',
    });
  }
}

async function filesIn(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder);
  const known = IN_FOLDER.filter((name) => names.includes(name));
  if (known.length === 0) throw new Error(`none of ${IN_FOLDER.join(', ')} is in it`);
  return known.map((name) => join(folder, name));
}
