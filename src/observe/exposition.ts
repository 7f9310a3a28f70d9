import { METRICS, type Metric, type MetricName } from './metrics.ts';
import type { Distribution, Sample } from './tally.ts';

/** Gives the figures of each metric when it is asked for. */
export type Readings = Readonly<Record<MetricName, () => readonly (Sample | Distribution)[]>>;

/** The figures, as one of the two formats has them. */
export interface Exposition {
  readonly type: string;
  readonly body: string;
}

const TEXT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
const OPEN_METRICS = 'application/openmetrics-text';
const OPEN_METRICS_TYPE = `${OPEN_METRICS}; version=1.0.0; charset=utf-8`;

/**
 * Writes every metric in Prometheus' text format 0.0.4, or in OpenMetrics 1.0 where `accept` prefers it.
 * Source: https://prometheus.io/docs/instrumenting/exposition_formats/.
 */
export function exposition(readings: Readings, accept: string | undefined): Exposition {
  const open = prefersOpenMetrics(accept ?? '');
  const lines = METRIC_NAMES.flatMap((name) => familyLines(name, METRICS[name], readings[name](), open));
  if (open) lines.push('# EOF');
  return { type: open ? OPEN_METRICS_TYPE : TEXT_TYPE, body: `${lines.join('\n')}\n` };
}

function isMetricName(name: string): name is MetricName {
  return Object.hasOwn(METRICS, name);
}

const METRIC_NAMES: readonly MetricName[] = Object.keys(METRICS).filter(isMetricName);

function familyLines(
  name: MetricName,
  metric: Metric,
  figures: readonly (Sample | Distribution)[],
  open: boolean,
): readonly string[] {
  // OpenMetrics: the family of a counter has the name without the suffix
  const family = open && metric.type === 'counter' ? name.replace(/_total$/, '') : name;
  const lines = [`# HELP ${family} ${escapeHelp(metric.help)}`, `# TYPE ${family} ${metric.type}`];
  for (const figure of figures) {
    const labels = metric.labels.map((label, at) => `${label}="${escapeValue(figure.labels[at] ?? '')}"`);
    if ('value' in figure) lines.push(`${name}${inBraces(labels)} ${figure.value}`);
    else lines.push(...bucketLines(name, metric.buckets ?? [], labels, figure, open));
  }
  return lines;
}

/** The buckets of a histogram, each with all that are below it. */
function bucketLines(
  name: string,
  buckets: readonly number[],
  labels: readonly string[],
  { counts, sum }: Distribution,
  open: boolean,
): readonly string[] {
  const bounds = [
    ...buckets.map((bound) => (open && Number.isInteger(bound) ? `${bound}.0` : bound)),
    '+Inf',
  ];
  let total = 0;
  const lines = bounds.map((bound, at) => {
    total += counts[at] ?? 0;
    return `${name}_bucket${inBraces([...labels, `le="${bound}"`])} ${total}`;
  });
  return [...lines, `${name}_sum${inBraces(labels)} ${sum}`, `${name}_count${inBraces(labels)} ${total}`];
}

function inBraces(labels: readonly string[]): string {
  return labels.length === 0 ? '' : `{${labels.join(',')}}`;
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapeValue(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}

/** Prometheus names each format with a weight; who accepts everything gets the text (RFC 9110, 12.5.1). */
function prefersOpenMetrics(accept: string): boolean {
  const weightOf = (type: string): number =>
    Math.max(
      0,
      ...accept
        .toLowerCase()
        .split(',')
        .map((range) => range.split(';').map((part) => part.trim()))
        .filter(([name]) => name === type)
        .map((parts) => Number(parts.find((part) => part.startsWith('q='))?.slice(2) ?? 1) || 0),
    );
  const weight = weightOf(OPEN_METRICS);
  return weight > 0 && weight >= weightOf('text/plain');
}
