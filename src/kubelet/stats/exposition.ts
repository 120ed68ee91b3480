/** The Prometheus text format: samples grouped by metric, each with its help and type. */
export class Exposition {
  readonly #metrics = new Map<string, { readonly type: string; readonly help: string; readonly lines: string[] }>();

  add(name: string, type: 'counter' | 'gauge', help: string, labels: Readonly<Record<string, string>>, value: number): void {
    const metric = this.#metrics.get(name) ?? { type, help, lines: [] };
    const text = Object.entries(labels).map(([k, v]) => `${k}="${v.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')}"`).join(',');
    metric.lines.push(`${name}${text ? `{${text}}` : ''} ${value}`);
    this.#metrics.set(name, metric);
  }
  text(): string {
    return Array.from(this.#metrics, ([name, m]) => `# HELP ${name} ${m.help}\n# TYPE ${name} ${m.type}\n${m.lines.join('\n')}\n`).join('');
  }
}
