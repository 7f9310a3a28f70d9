import { LABELS, METRICS, type Metric } from '../observe/metrics.ts';

const INTRODUCTION = `# Metrics

<!-- Made by "breakwater config docs --page metrics"; change the declarations in src/observe/metrics.ts instead. -->

\`/metrics\` of the [admin listener](../how-to/monitor.md) has them in Prometheus' text format, and in OpenMetrics for who
prefers it. Each series is there from the start, as 0, but for those of what a registry has to say first. Labels have few
values: none of a client, a repository, a tag or a digest.

The names that begin with \`registry_proxy_\` are those of distribution's pull-through cache, so that dashboards made for it
work.

| Name | Type | Labels | Meaning |
|---|---|---|---|
`;

const LABELS_TITLE = `
## Labels

| Label | Values | Meaning |
|---|---|---|
`;

/** The Markdown of `docs/reference/metrics.md`. */
export function metricsPage(): string {
  const rows = Object.entries<Metric>(METRICS).map(
    ([name, { type, labels, help }]) => `| \`${name}\` | ${type} | ${inCode(labels)} | ${help} |\n`,
  );
  const labels = Object.entries(LABELS).map(
    ([name, { values, help }]) => `| \`${name}\` | ${inCode(values ?? [])} | ${help} |\n`,
  );
  return INTRODUCTION + rows.join('') + LABELS_TITLE + labels.join('');
}

function inCode(words: readonly string[]): string {
  return words.map((word) => `\`${word}\``).join(' ');
}
