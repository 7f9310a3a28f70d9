import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { indexFailure, pragma, SCHEMA, wasClosedInOrder, type Index } from './database.ts';

/**
 * Opens an index that cannot be written: a copy of it in memory, where what is learned is forgotten at the end.
 * @throws `CACHE_UNUSABLE` where another process holds it, or it cannot be read.
 */
export function openReadOnlyIndex(file: string): Index {
  let memory: DatabaseSync | undefined;
  try {
    refuseLocked(file);
    const database = new DatabaseSync(':memory:');
    memory = database;
    // without a lock and without its log, for which files would have to be made
    const source = pathToFileURL(file);
    source.searchParams.set('immutable', '1');
    database.prepare('ATTACH ? AS kept').run(source.href);
    const version = pragma(database, 'kept.user_version');
    if (version > SCHEMA.length)
      throw new Error(`its version is ${version}, this program knows ${SCHEMA.length}`);
    const clean = wasClosedInOrder(database, 'kept.');
    for (const step of SCHEMA.slice(0, version)) database.exec(step);
    const tables = database.prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table'").all();
    for (const { name } of tables)
      database.exec(`INSERT INTO main."${String(name)}" SELECT * FROM kept."${String(name)}"`);
    for (const step of SCHEMA.slice(version)) database.exec(step);
    database.exec('DETACH kept');
    return { database, clean, doubt: () => undefined, close: () => database.close() };
  } catch (cause) {
    memory?.close();
    throw indexFailure(file, cause);
  }
}

/** The lock of a process that writes is seen even where the file cannot be opened further. */
function refuseLocked(file: string): void {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    pragma(database, 'user_version');
  } catch (error) {
    if (error instanceof Error && error.message.includes('locked')) throw error;
  } finally {
    database.close();
  }
}
