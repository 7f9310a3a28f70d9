import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import type { ReloadReport } from '../config/live-config.ts';
import { configWarnings } from '../config/warnings.ts';

/** Logs what became of a reload; what was in force before it tells which warnings are new. */
export function logReload(log: Logger, before: Config, report: ReloadReport): void {
  if (report.outcome === 'refused') {
    const { message: reason, mend } = report.error;
    log.error({ reason, mend }, 'configuration not reloaded: the one from before stays in force');
    return;
  }
  const { changed, needRestart, config } = report;
  log.info({ changed }, 'configuration reloaded');
  for (const { setting, before: running, after: read } of needRestart)
    log.warn({ setting, running, read }, 'setting changed, and needs a restart to take effect');
  const known = new Set(configWarnings(before));
  for (const warning of configWarnings(config))
    if (!known.has(warning)) log.warn({ warning }, 'configuration warning');
}
