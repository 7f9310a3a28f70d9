import type { Figures, Measure, Scenario } from './scenarios/scenario.ts';
import { median } from './stats.ts';

/** The runs of one scenario, by server. */
export interface Runs {
  readonly scenario: Scenario;
  readonly breakwater: readonly Figures[];
  readonly nginx: readonly Figures[];
}

const HEAD = ['scenario', 'measure', 'Breakwater', 'nginx', 'ratio', 'target', 'met'];

/** One row a measure: medians of the runs. */
export function table(all: readonly Runs[]): string {
  const rows = all.flatMap(({ scenario, breakwater, nginx }) =>
    scenario.measures.map((measure, at) =>
      row(at === 0 ? scenario.title : '', measure, medianOf(breakwater, measure), medianOf(nginx, measure)),
    ),
  );
  return [HEAD, HEAD.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function row(title: string, measure: Measure, ours: number, theirs: number): string[] {
  const { name, unit, digits, target } = measure;
  const ratio = ours / theirs;
  const value = target?.of === 'ratio' ? ratio : ours;
  const met = target === undefined || (target.kind === 'most' ? value <= target.value : value >= target.value);
  return [
    title,
    `${name}, ${unit}`,
    ours.toFixed(digits),
    theirs.toFixed(digits),
    `${ratio.toFixed(2)}×`,
    target === undefined
      ? ''
      : `${target.kind === 'most' ? '≤' : '≥'} ${target.value}${target.of === 'ratio' ? '×' : ` ${unit}`}`,
    target === undefined ? '' : met ? 'yes' : '**no**',
  ];
}

function medianOf(runs: readonly Figures[], { name }: Measure): number {
  return median(runs.map((figures) => figures[name] ?? Number.NaN));
}
