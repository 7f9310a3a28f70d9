import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import type { LiveConfig, ReloadReport } from '../config/live-config.ts';
import { configWarnings } from '../config/warnings.ts';

/** Reads the configuration again, and logs what became of it. */
export function createLoggedReload(
  log: Logger,
  live: LiveConfig,
  inForce: () => Config,
): () => Promise<ReloadReport> {
  return async () => {
    const before = inForce();
    const report = await live.reload();
    logReload(log, before, report);
    return report;
  };
}

/** What was in force before tells which warnings are new. */
function logReload(log: Logger, before: Config, report: ReloadReport): void {
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
