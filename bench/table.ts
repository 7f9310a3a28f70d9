import type { Figures, Measure, Scenario } from './scenarios/scenario.ts';
import { median } from './stats.ts';

/** The runs of one scenario. */
export interface Runs {
  readonly scenario: Scenario;
  readonly ours: readonly Figures[];
  readonly theirs: readonly Figures[];
}

/** One row a measure: medians of the runs. */
export function table(all: readonly Runs[], us: string, peer: string): string {
  const head = ['scenario', 'measure', us, peer, 'ratio', 'target', 'met'];
  const rows = all.flatMap(({ scenario, ours, theirs }) =>
    scenario.measures.map((measure, at) =>
      row(at === 0 ? scenario.title : '', measure, medianOf(ours, measure), medianOf(theirs, measure)),
    ),
  );
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function row(title: string, measure: Measure, ours: number, theirs: number): string[] {
  const { name, unit, digits, target } = measure;
  const ratio = ours / theirs;
  const value = target?.of === 'ratio' ? ratio : ours;
  const met =
    target === undefined || (target.kind === 'most' ? value <= target.value : value >= target.value);
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
