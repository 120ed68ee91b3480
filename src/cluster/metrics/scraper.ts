/**
 * CPU rates and memory of nodes and containers, from two looks at each kubelet's summary. Nobody is looked at while nobody asks:
 * an idle cluster costs nothing, and the first answer takes a second longer.
 */
import type { Node } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { sleep, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';

/** The parts of stats/v1alpha1 Summary that are read. */
export interface StatsSummary {
  readonly node: UseSummary;
  readonly pods?: readonly { readonly podRef: { readonly name: string; readonly namespace: string; readonly uid: string }; readonly containers?: readonly (UseSummary & { readonly name: string })[] }[];
}
interface UseSummary {
  readonly cpu?: { readonly usageCoreNanoSeconds?: number };
  readonly memory?: { readonly workingSetBytes?: number };
}
export interface Usage {
  readonly nanoCores: number;
  readonly bytes: number;
}
/** The last answer of all kubelets. Usages are by `node`, and by `pod UID/container`. */
export interface Measured {
  /** The time of day, in ms since the epoch. */
  readonly at: number;
  readonly atMonotonic: number;
  readonly windowMs: number;
  readonly nodes: ReadonlyMap<string, Usage>;
  readonly containers: ReadonlyMap<string, Usage>;
}
interface Sample {
  readonly atMonotonic: number;
  readonly nodes: ReadonlyMap<string, Counter>;
  readonly containers: ReadonlyMap<string, Counter>;
}
interface Counter {
  readonly atMonotonic: number;
  readonly coreNanos: number;
  readonly bytes: number;
}
export interface ScraperOptions {
  readonly clock: Clock;
  nodes(): readonly Node[];
  summary(node: Node, signal: AbortSignal): Promise<StatsSummary>;
}

/** A measurement is answered again for so long. */
const FRESH_MS = 10_000;
/** An older sample says nothing of now. */
const STALE_MS = 60_000;
/** Shorter windows say little. */
export const SHORTEST_WINDOW_MS = 1000;
const TIMEOUT_MS = 10_000;
const log = logger('metrics');

export class MetricsScraper {
  readonly #options: ScraperOptions;
  readonly #stop = new AbortController();
  #last: Sample | undefined;
  #measured: Measured | undefined;
  #running: Promise<Measured> | undefined;

  constructor(options: ScraperOptions) {
    this.#options = options;
  }
  /** What was measured no more than `maxAgeMs` ago. Those who ask at the same time share one look. */
  measure(maxAgeMs = FRESH_MS): Promise<Measured> {
    const { clock } = this.#options;
    if (this.#measured && clock.monotonic() - this.#measured.atMonotonic < maxAgeMs) return Promise.resolve(this.#measured);
    return (this.#running ??= this.#measure().finally(() => {
      this.#running = undefined;
    }));
  }
  stop(): void {
    this.#stop.abort(new Error('the metrics API is stopping'));
  }

  async #measure(): Promise<Measured> {
    const { clock } = this.#options;
    const known = this.#last && clock.monotonic() - this.#last.atMonotonic < STALE_MS ? this.#last : undefined;
    const before = known ?? (await this.#sample());
    if (!known) await sleep(clock, SHORTEST_WINDOW_MS, this.#stop.signal);
    const after = await this.#sample();
    this.#last = after;
    this.#measured = { at: clock.now(), atMonotonic: clock.monotonic(), windowMs: after.atMonotonic - before.atMonotonic, nodes: rates(before.nodes, after.nodes), containers: rates(before.containers, after.containers) };
    return this.#measured;
  }
  async #sample(): Promise<Sample> {
    const { clock, summary, nodes } = this.#options;
    const sample = { atMonotonic: clock.monotonic(), nodes: new Map<string, Counter>(), containers: new Map<string, Counter>() };
    await Promise.all(nodes().map(async (node) => {
      const deadline = new AbortController();
      const timer = clock.after(TIMEOUT_MS, () => deadline.abort(new Error('context deadline exceeded')));
      try {
        const told = await summary(node, AbortSignal.any([deadline.signal, this.#stop.signal]));
        const at = clock.monotonic();
        sample.nodes.set(nameOf(node), counterOf(told.node, at));
        for (const pod of told.pods ?? []) for (const c of pod.containers ?? []) if (c.cpu) sample.containers.set(`${pod.podRef.uid}/${c.name}`, counterOf(c, at));
      } catch (err) {
        if (!this.#stop.signal.aborted) log.warn({ node: nameOf(node), err }, 'Failed to scrape node');
      } finally {
        timer.cancel();
      }
    }));
    return sample;
  }
}
function counterOf({ cpu, memory }: UseSummary, atMonotonic: number): Counter {
  return { atMonotonic, coreNanos: cpu?.usageCoreNanoSeconds ?? 0, bytes: memory?.workingSetBytes ?? 0 };
}
/** Of those that both samples have; a counter that began anew has no rate yet. */
function rates(before: ReadonlyMap<string, Counter>, after: ReadonlyMap<string, Counter>): Map<string, Usage> {
  const out = new Map<string, Usage>();
  for (const [key, now] of after) {
    const then = before.get(key);
    const seconds = then ? (now.atMonotonic - then.atMonotonic) / 1000 : 0;
    if (!then || seconds <= 0 || now.coreNanos < then.coreNanos) continue;
    out.set(key, { nanoCores: Math.round((now.coreNanos - then.coreNanos) / seconds), bytes: now.bytes });
  }
  return out;
}
