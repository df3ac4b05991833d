/**
 * Counters, histograms and gauges as OpenMetrics text. Only what the coordinator needs of that format; see
 * docs/decisions/metrics-registry.md for why it is not a package.
 */

/** Label values in the order of the metric's label names. */
export type LabelValues = readonly (string | number)[];

/** One value of a gauge. */
export interface Sample {
  labels: LabelValues;
  value: number;
}

/** A metric: its name without a suffix, one line of help, and its label names. */
export interface MetricInfo {
  name: string;
  help: string;
  labels?: readonly string[];
}

/** Counts up. */
export interface Counter {
  add(labels: LabelValues, by?: number): void;
}

/** Counts observations by size. */
export interface Histogram {
  observe(labels: LabelValues, value: number): void;
}

interface Family {
  info: MetricInfo;
  type: 'counter' | 'histogram' | 'gauge';
  /** The lines of the samples. */
  render(): string[] | Promise<string[]>;
}

/** More series than routes × statuses: a label that grows without end is a bug, and must not eat the memory. */
const SERIES_MAX = 5_000;

export const OPENMETRICS_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

/** All metrics of a process. */
export class MetricsRegistry {
  readonly #families: Family[] = [];

  counter(info: MetricInfo): Counter {
    const series = new Map<string, number>();
    this.#families.push({
      info,
      type: 'counter',
      render: () => [...series].map(([labels, value]) => `${info.name}_total${labels} ${String(value)}`),
    });
    return {
      add(labels, by = 1) {
        const key = formatLabels(info.labels, labels);
        const known = series.get(key);
        if (known !== undefined || series.size < SERIES_MAX) series.set(key, (known ?? 0) + by);
      },
    };
  }

  /** `bounds` are the upper ends of the buckets, rising. */
  histogram(info: MetricInfo, bounds: readonly number[]): Histogram {
    interface Series {
      labels: LabelValues;
      counts: number[];
      sum: number;
    }
    const series = new Map<string, Series>();
    this.#families.push({
      info,
      type: 'histogram',
      render: () =>
        [...series.values()].flatMap(({ labels, counts, sum }) => {
          let below = 0;
          const lines = [...bounds, Infinity].map((bound, index) => {
            below += counts[index] ?? 0;
            const upTo = bound === Infinity ? '+Inf' : String(bound);
            const names = formatLabels([...(info.labels ?? []), 'le'], [...labels, upTo]);
            return `${info.name}_bucket${names} ${String(below)}`;
          });
          const names = formatLabels(info.labels, labels);
          return [
            ...lines,
            `${info.name}_count${names} ${String(below)}`,
            `${info.name}_sum${names} ${String(sum)}`,
          ];
        }),
    });
    return {
      observe(labels, value) {
        const key = labels.join('\n');
        let known = series.get(key);
        if (known === undefined) {
          if (series.size >= SERIES_MAX) return;
          known = { labels, counts: new Array<number>(bounds.length + 1).fill(0), sum: 0 };
          series.set(key, known);
        }
        let index = 0;
        while (index < bounds.length && value > (bounds[index] ?? Infinity)) index += 1;
        known.counts[index] = (known.counts[index] ?? 0) + 1;
        known.sum += value;
      },
    };
  }

  /** A value that is asked for when somebody looks. */
  gauge(info: MetricInfo, collect: () => Sample[] | Promise<Sample[]>): void {
    this.#families.push({
      info,
      type: 'gauge',
      async render() {
        const samples = await collect();
        return samples.map(
          ({ labels, value }) => `${info.name}${formatLabels(info.labels, labels)} ${String(value)}`,
        );
      },
    });
  }

  /** Everything as text. One metric that cannot be had is left out; the others still tell. */
  async render(): Promise<string> {
    const parts: string[] = [];
    for (const family of this.#families) {
      const { info, type } = family;
      let samples: string[];
      try {
        samples = await family.render();
      } catch {
        continue; // The database is closed or busy; readiness says so, and a monitor sees the metric missing.
      }
      parts.push(`# TYPE ${info.name} ${type}`, `# HELP ${info.name} ${info.help}`, ...samples);
    }
    return `${parts.join('\n')}\n# EOF\n`;
  }
}

function formatLabels(names: readonly string[] = [], values: LabelValues): string {
  if (names.length === 0) return '';
  const pairs = names.map((name, index) => `${name}="${escape(String(values[index] ?? ''))}"`);
  return `{${pairs.join(',')}}`;
}

const escape = (text: string): string =>
  text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
